import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ForgedAttestationKey } from '@bonafide/testing/forged-attestation-key';
import { expectOnlyBonafideErrors, mutatedBytes } from '@bonafide/testing/mutated-bytes';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { PCR_BANKS, PCR_COUNT, TPM_ALG, algorithmOf } from './algorithm.js';
import { ekPolicyA, ekPolicyB } from './ek-policy.js';
import { EK_TEMPLATE, encodeKeyTemplate } from './key-template.js';
import { makeCredential } from './proof/make-credential.js';
import { encodePcrSelection, readPcrSelections } from './pcr-selection.js';
import { parseTpmAttest } from './tpm-attest.js';
import { parseTpmPublic, publicKeyOf, tpmName } from './tpm-public.js';
import { TpmReader } from './tpm-reader.js';
import { parseTpmResponse } from './device/tpm-response.js';
import { parseTpmSignature } from './tpm-signature.js';
import { TpmWriter } from './tpm-writer.js';

const MUTATIONS_EACH = 2_500;
const LIMIT_MS = 120_000;

const recorded = JSON.parse(
  readFileSync(new URL('fixtures/sb-on/attestation.json', import.meta.url), 'utf8'),
) as Readonly<Record<'ekPub' | 'akPub' | 'quote' | 'signature', string>>;
const bytesOf = (name: keyof typeof recorded): Buffer => Buffer.from(recorded[name], 'base64');

const response = new TpmWriter()
  .uint16(0x8002)
  .uint32(22)
  .uint32(0)
  .uint32(0x80000000)
  .uint32(4)
  .uint32(1)
  .build();
const command = { name: 'a command', hasSessions: true, returnsHandle: true };

/** Everything that reads what came from elsewhere, with something that it accepts. */
const PARSERS: readonly (readonly [string, Buffer, (raw: Buffer) => unknown])[] = [
  ['RSA public area', bytesOf('ekPub'), parseTpmPublic],
  ['ECC public area', bytesOf('akPub'), (raw) => publicKeyOf(parseTpmPublic(raw))],
  [
    'endorsement key',
    bytesOf('ekPub'),
    (raw) => makeCredential(parseTpmPublic(raw), tpmName(parseTpmPublic(raw)), randomBytes(32)),
  ],
  ['attestation', bytesOf('quote'), parseTpmAttest],
  ['signature', bytesOf('signature'), parseTpmSignature],
  ['response', response, (raw) => parseTpmResponse(raw, command)],
];

describe('what reads structures of a TPM', () => {
  it.each(PARSERS)('accepts a good %s', (_name, good, parse) => {
    expect(() => parse(good)).not.toThrow();
  });

  it.each(PARSERS)(
    'lets nothing but a BonafideError out, whatever became of the %s',
    (_name, good, parse) => {
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          expectOnlyBonafideErrors(parse, mutatedBytes(good, seed));
        }),
        { numRuns: MUTATIONS_EACH },
      );
    },
    LIMIT_MS,
  );

  it.each(PARSERS)('refuses any beginning of the %s, and anything after it', (_name, good, parse) => {
    const step = Math.max(1, Math.floor(good.length / 300));
    for (let length = 0; length < good.length; length += step)
      expect(() => parse(good.subarray(0, length)), `${length} bytes`).toThrow(BonafideError);
    expect(() => parse(Buffer.concat([good, Buffer.from('x')]))).toThrow(BonafideError);
  });
});

describe('TPM public area', () => {
  it.each([
    ['a reserved attribute', 7, 0x73],
    ['another type of key', 1, 0x08],
    ['a name algorithm that is not known', 3, 0x12],
  ])('is refused with %s', (_case, index, value) => {
    const raw = bytesOf('akPub');
    raw.writeUInt8(value, index);
    expect(() => parseTpmPublic(raw)).toThrow('TPM public area');
  });

  it('is refused when its point is on no curve', () => {
    const raw = bytesOf('akPub');
    raw.writeUInt8(raw.readUInt8(raw.length - 1) ^ 1, raw.length - 1);
    expect(() => publicKeyOf(parseTpmPublic(raw))).toThrow('no valid ecc key');
  });

  it('pads coordinates whose zeros were left out', () => {
    const key = parseTpmPublic(bytesOf('akPub'));
    const head = key.raw.subarray(0, key.raw.length - 68);
    const short = parseTpmPublic(
      new TpmWriter()
        .bytes(head)
        .sized(Buffer.from([5]))
        .sized(Buffer.from([6]))
        .build(),
    );
    expect(short.type === 'ecc' && short.key.x).toEqual(Buffer.concat([Buffer.alloc(31), Buffer.from([5])]));
  });

  it('is refused when an RSA modulus is shorter than it claims', () => {
    const raw = bytesOf('ekPub');
    raw.writeUInt8(0, raw.length - 256);
    expect(() => parseTpmPublic(raw)).toThrow('is not of 2048 bits');
  });
});

describe('endorsement keys', () => {
  it.each(['fixedTPM', 'restricted', 'decrypt', 'adminWithPolicy'] as const)('must have %s', (attribute) => {
    const attributes = EK_TEMPLATE.lowRsa2048.attributes.filter((known) => known !== attribute);
    expect(() => makeCredentialFor({ ...EK_TEMPLATE.lowRsa2048, attributes })).toThrow(`lacks ${attribute}`);
  });

  it('must not sign, and must protect by AES', () => {
    const attributes = [...EK_TEMPLATE.lowRsa2048.attributes, 'sign'] as const;
    expect(() => makeCredentialFor({ ...EK_TEMPLATE.lowRsa2048, attributes })).toThrow('also signs');
    const { key, authPolicy } = EK_TEMPLATE.lowRsa2048;
    const withoutAes = { key, authPolicy, attributes: EK_TEMPLATE.lowRsa2048.attributes };
    expect(() => makeCredentialFor(withoutAes)).toThrow('AES in CFB');
    expect(() => makeCredentialFor({ ...EK_TEMPLATE.lowRsa2048, nameAlgorithm: 'sha1' })).toThrow('SHA-1');
    expect(() => makeCredential(new ForgedAttestationKey().public, randomBytes(34), randomBytes(32))).toThrow(
      'lacks',
    );
  });

  it('have the policies that the TCG publishes', () => {
    expect(ekPolicyA('sha256').toString('hex')).toBe(
      '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa',
    );
    expect(ekPolicyB('sha256').toString('hex')).toBe(
      'ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0',
    );
    expect(ekPolicyB('sha384').toString('hex')).toBe(
      'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
    );
  });

  it('take secrets of at most one digest', () => {
    const ek = parseTpmPublic(bytesOf('ekPub'));
    expect(() => makeCredential(ek, randomBytes(34), randomBytes(33))).toThrow('1 to 32 bytes');
    expect(() => makeCredential(ek, randomBytes(34), Buffer.alloc(0))).toThrow('1 to 32 bytes');
  });
});

describe('PCR selections', () => {
  it('are read as they were written', () => {
    const pcrs = fc.uniqueArray(fc.integer({ min: 0, max: PCR_COUNT - 1 }), { minLength: 1 });
    fc.assert(
      fc.property(fc.constantFrom(...PCR_BANKS), pcrs, (bank, chosen) => {
        const [selection] = readPcrSelections(new TpmReader(encodePcrSelection(bank, chosen), 'selection'));
        expect(selection).toEqual({ algorithm: algorithmOf(bank), pcrs: [...chosen].sort((a, b) => a - b) });
      }),
    );
  });

  it.each([[[]], [[24]], [[-1]], [[0.5]], [[1, 1]]])('are not made of %j', (pcrs: readonly number[]) => {
    expect(() => encodePcrSelection('sha256', pcrs)).toThrow('PCRs are different numbers');
  });
});

/** A public area by a template, with a key that any RSA modulus is good for. */
function makeCredentialFor(template: Parameters<typeof encodeKeyTemplate>[0]): unknown {
  const encoded = encodeKeyTemplate(template);
  const modulus = bytesOf('ekPub').subarray(-256);
  const raw = Buffer.concat([encoded.subarray(0, encoded.length - 256), modulus]);
  expect(raw.readUInt16BE(0)).toBe(TPM_ALG.rsa);
  return makeCredential(parseTpmPublic(raw), randomBytes(34), randomBytes(32));
}
