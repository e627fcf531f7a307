import 'reflect-metadata';
import { execFileSync } from 'node:child_process';
import { createPublicKey, sign, webcrypto, type KeyObject } from 'node:crypto';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import {
  createCertificateSigningRequest,
  MAX_CSR_BYTES,
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
  type VerifiedCsr,
} from './certificate-signing-request.js';
import { contextTag, DER_TAG } from './der/der-tag.js';
import { derBitString, derElement, derSequence, derUnsignedInteger } from './der/der-writer.js';
import { generatePrivateKey } from './generate-key.js';
import { KEY_TYPES } from './key-type.js';
import { encodePem } from './pem.js';
import { encodeOid, OID } from './der/object-identifier.js';

const uriNames = ['spiffe://example.org/ns/default/sa/web'];
const dnsNames = ['web.example.org', '*.web.example.org'];

async function accept(bytes: Uint8Array): Promise<VerifiedCsr> {
  return verifyCertificateSigningRequest(parseCertificateSigningRequest(bytes));
}

/** Undefined when accepted; anything that is not a BonafideError fails the test. */
async function refusal(bytes: Uint8Array): Promise<BonafideError | undefined> {
  try {
    await accept(bytes);
    return undefined;
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    return error;
  }
}

/** A CSR around any SPKI, signed by its key. */
function requestFor(
  privateKey: KeyObject,
  spki: Buffer,
  identifier: Buffer,
  hash: string | undefined,
): Buffer {
  const tbs = derSequence(
    derUnsignedInteger(Buffer.from([0])),
    derSequence(),
    spki,
    derElement(contextTag(0)),
  );
  return derSequence(tbs, identifier, derBitString(sign(hash, tbs, privateKey)));
}

const ECDSA_SHA256 = derSequence(encodeOid(OID.ecdsaWithSha256));
const RSA_SHA256 = derSequence(encodeOid(OID.sha256WithRsa), derElement(DER_TAG.null));

describe.each(KEY_TYPES)('a CSR with a key of type %s', (type) => {
  let csr: Buffer;
  let privateKey: KeyObject;
  beforeAll(async () => {
    privateKey = await generatePrivateKey(type);
    csr = await createCertificateSigningRequest(privateKey, {
      uriNames,
      dnsNames,
      subject: { organization: ['SPIRE'] },
    });
  });

  it('is accepted, with the names and the key that were put in', async () => {
    const parsed = parseCertificateSigningRequest(csr);
    expect(parsed.uriNames).toEqual(uriNames);
    expect(parsed.dnsNames).toEqual(dnsNames);
    const verified = await verifyCertificateSigningRequest(parsed);
    expect(verified.spki).toEqual(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
    expect(verified.publicKey.equals(createPublicKey(privateKey))).toBe(true);
  });

  it('is accepted by openssl and by @peculiar/x509', async () => {
    const output = execFileSync('openssl', ['req', '-noout', '-verify', '-subject'], {
      input: encodePem('CERTIFICATE REQUEST', csr),
      stdio: ['pipe', 'pipe', 'pipe'],
    }).toString();
    expect(output).toContain('O = SPIRE');
    const oracle = new x509.Pkcs10CertificateRequest(csr);
    expect(await oracle.verify(webcrypto)).toBe(true);
    const extension = oracle.getExtension('2.5.29.17');
    const { names } = new x509.SubjectAlternativeNameExtension(extension?.rawData ?? Buffer.alloc(0));
    expect(names.items.map(({ value }) => value)).toEqual([...uriNames, ...dnsNames]);
  });
});

describe('a CSR made by openssl', () => {
  it.each([
    ['EC P-256', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['EC P-384 with SHA-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384']],
    ['RSA 3072 with SHA-512', ['-newkey', 'rsa:3072', '-sha512']],
  ])('is accepted: %s', async (_name, key) => {
    const options = ['-nodes', '-keyout', '/dev/null', '-outform', 'DER', '-subj', '/C=US/O=SPIRE'];
    const extension = ['-addext', 'subjectAltName=URI:spiffe://example.org/a,DNS:a.example.org,IP:10.0.0.1'];
    const csr = execFileSync('openssl', ['req', '-new', ...key, ...options, ...extension], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    expect(parseCertificateSigningRequest(csr)).toMatchObject({
      uriNames: ['spiffe://example.org/a'],
      dnsNames: ['a.example.org'],
    });
    expect(await refusal(csr)).toBeUndefined();
  });
});

describe('a damaged CSR', () => {
  let csr: Buffer;
  beforeAll(async () => {
    csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'), { uriNames, dnsNames });
  });

  it('is refused with any byte changed in any of 24 ways', async () => {
    let mutations = 0;
    for (let index = 0; index < csr.length; index += 1) {
      const original = csr[index] ?? 0;
      const others = Array.from({ length: 16 }, (_, step) => (original + 1 + step * 16) & 0xff);
      const flipped = Array.from({ length: 8 }, (_, bit) => original ^ (1 << bit));
      for (const value of new Set([...others, ...flipped])) {
        if (value === original) continue;
        const mutated = Buffer.from(csr);
        mutated[index] = value;
        if ((await refusal(mutated)) === undefined)
          throw new Error(`accepted with byte ${index} set to ${value}`);
        mutations += 1;
      }
    }
    expect(mutations).toBeGreaterThan(6000);
  });

  it('is refused when cut off at any length', async () => {
    for (let length = 0; length < csr.length; length += 1)
      expect(await refusal(csr.subarray(0, length))).toBeDefined();
  });

  it('is refused with bytes after it (invariant 7)', async () => {
    for (const tail of ['00', '3000', 'ff', '0000000000']) {
      expect((await refusal(Buffer.concat([csr, Buffer.from(tail, 'hex')])))?.message).toContain(
        'trailing bytes',
      );
    }
  });

  it('is refused when any of its lengths is not the shortest', async () => {
    // Every constructed element on the way to the names, and the primitives beside it, written again with one more length byte.
    const outer = longerLength(csr, 0);
    expect((await refusal(outer))?.message).toContain('non-minimal length');
    const body = csr.subarray(csr.length - contentLength(csr));
    const inner = longerLength(body, 0);
    expect((await refusal(derSequence(inner)))?.message).toContain('non-minimal length');
  });

  it('is refused with anything but bytes of a CSR', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        expect((await refusal(bytes))?.reason).toBe('invalid_argument');
      }),
      { numRuns: 500 },
    );
    const position = fc.tuple(fc.nat(csr.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(position, { minLength: 1, maxLength: 6 }), async (changes) => {
        const mutated = Buffer.from(csr);
        for (const [index, value] of changes) mutated[index] = value;
        if (!mutated.equals(csr)) expect((await refusal(mutated))?.reason).toBe('invalid_argument');
      }),
      { numRuns: 1000 },
    );
  });

  it('is refused above its size limit before it is read', async () => {
    expect((await refusal(Buffer.alloc(MAX_CSR_BYTES + 1)))?.message).toContain(`${MAX_CSR_BYTES} bytes`);
  });

  it('does not change under the feet of the one who verifies it (invariant 3)', async () => {
    const bytes = Buffer.from(csr);
    const parsed = parseCertificateSigningRequest(bytes);
    bytes.fill(0);
    expect((await verifyCertificateSigningRequest(parsed)).spki).toEqual(
      parseCertificateSigningRequest(csr).spki,
    );
  });
});

describe('a CSR that nobody should send', () => {
  it('is not made for a name that is not ASCII, which would become another name', async () => {
    const key = await generatePrivateKey('ec-p256');
    for (const names of [
      { uriNames: ['spiffe://example.org/\u{430}'] },
      { dnsNames: ['b\u{e4}nk.example'] },
    ]) {
      await expect(createCertificateSigningRequest(key, names)).rejects.toMatchObject({
        reason: 'invalid_argument',
        message: expect.stringContaining('is not ASCII') as string,
      });
    }
  });

  const rsa = makeKeyPair('rsa', { modulusLength: 2048 });
  const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' });

  it('is refused when signed by another key', async () => {
    const victim = makeKeyPair('ec', { namedCurve: 'P-256' });
    const thief = makeKeyPair('ec', { namedCurve: 'P-256' });
    const csr = requestFor(thief.privateKey, spkiOf(victim.publicKey), ECDSA_SHA256, 'sha256');
    expect((await refusal(csr))?.message).toBe('the signature of the CSR is not by the key in it');
  });

  it('is refused when the algorithm is of another kind of key', async () => {
    const { privateKey, publicKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
    const csr = requestFor(privateKey, spkiOf(publicKey), RSA_SHA256, 'sha256');
    expect((await refusal(csr))?.message).toBe('the signature of the CSR is not by the key in it');
  });

  it('is refused with a weak or an oversized RSA key, before the key is imported', async () => {
    const weak = makeKeyPair('rsa', { modulusLength: 1024 });
    const csr = requestFor(weak.privateKey, spkiOf(weak.publicKey), RSA_SHA256, 'sha256');
    expect((await refusal(csr))?.message).toBe('RSA key of 1024 bits in CSR; accepted are 2048 to 8192');

    const modulus = Buffer.alloc(1025, 0xff);
    modulus[0] = 0x01;
    const numbers = derSequence(derUnsignedInteger(modulus), derUnsignedInteger(Buffer.from([1, 0, 1])));
    const huge = derSequence(
      derSequence(encodeOid(OID.rsaEncryption), derElement(DER_TAG.null)),
      derBitString(numbers),
    );
    expect((await refusal(requestFor(weak.privateKey, huge, RSA_SHA256, 'sha256')))?.message).toContain(
      '8193 bits',
    );
  });

  it.each([
    ['1', [1]],
    ['even', [4]],
    ['five bytes long', [1, 0, 0, 0, 1]],
    ['zero', [0]],
  ])('is refused with an RSA exponent that is %s', async (_name, exponent) => {
    const numbers = derSequence(
      derUnsignedInteger(Buffer.alloc(256, 0xff)),
      derUnsignedInteger(Buffer.from(exponent)),
    );
    const spki = derSequence(
      derSequence(encodeOid(OID.rsaEncryption), derElement(DER_TAG.null)),
      derBitString(numbers),
    );
    expect((await refusal(requestFor(rsa.privateKey, spki, RSA_SHA256, 'sha256')))?.message).toContain(
      'RSA exponent',
    );
  });

  it.each([
    ['secp256k1', () => makeKeyPair('ec', { namedCurve: 'secp256k1' }), ECDSA_SHA256, 'sha256'],
    ['P-521', () => makeKeyPair('ec', { namedCurve: 'P-521' }), ECDSA_SHA256, 'sha256'],
    ['P-224', () => makeKeyPair('ec', { namedCurve: 'P-224' }), ECDSA_SHA256, 'sha256'],
  ])('is refused with a key on %s, naming what is accepted', async (_name, generate, identifier, hash) => {
    const { privateKey, publicKey } = generate();
    const csr = requestFor(privateKey, spkiOf(publicKey), identifier, hash);
    expect((await refusal(csr))?.message).toBe(
      'unsupported public key in CSR; accepted are EC P-256, EC P-384 and RSA of 2048 to 8192 bits',
    );
  });

  it('is refused with an Ed25519 signature, naming what is accepted', async () => {
    const { privateKey, publicKey } = makeKeyPair('ed25519');
    const csr = requestFor(
      privateKey,
      spkiOf(publicKey),
      derSequence(Buffer.from('06032b6570', 'hex')),
      undefined,
    );
    expect((await refusal(csr))?.message).toContain('unsupported signature algorithm; accepted are');
  });

  it('is refused with SHA-1', async () => {
    const { privateKey, publicKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
    const csr = requestFor(
      privateKey,
      spkiOf(publicKey),
      derSequence(Buffer.from('06072a8648ce3d0401', 'hex')),
      'sha1',
    );
    expect((await refusal(csr))?.message).toContain('unsupported signature algorithm');
  });

  it('is refused with a point that is not on the curve, or compressed', async () => {
    const { privateKey, publicKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
    const offCurve = spkiOf(publicKey);
    offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;
    expect((await refusal(requestFor(privateKey, offCurve, ECDSA_SHA256, 'sha256')))?.message).toBe(
      'the public key is not a point of its curve',
    );
    const spki = spkiOf(publicKey);
    const point = Buffer.concat([Buffer.from([2]), spki.subarray(27, 59)]);
    const compressed = derSequence(
      derSequence(encodeOid(OID.ecPublicKey), encodeOid(OID.p256)),
      derBitString(point),
    );
    expect((await refusal(requestFor(privateKey, compressed, ECDSA_SHA256, 'sha256')))?.message).toContain(
      'uncompressed point',
    );
  });
});

function contentLength(element: Buffer): number {
  const first = element[1] ?? 0;
  return first < 0x80 ? first : element.readUIntBE(2, first & 0x7f);
}

/** The element at `offset` with its length written in one byte more than needed. */
function longerLength(bytes: Buffer, offset: number): Buffer {
  const first = bytes[offset + 1] ?? 0;
  const count = first < 0x80 ? 0 : first & 0x7f;
  const length = contentLength(bytes.subarray(offset));
  const head = Buffer.alloc(count + 3);
  head[0] = bytes[offset] ?? 0;
  head[1] = 0x80 | (count + 1);
  head.writeUIntBE(length, 2, count + 1);
  return Buffer.concat([bytes.subarray(0, offset), head, bytes.subarray(offset + 2 + count)]);
}
