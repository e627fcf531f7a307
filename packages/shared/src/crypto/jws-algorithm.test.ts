import { execFileSync } from 'node:child_process';
import { constants, sign, type KeyObject, type SignKeyObjectInput } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { pssSignatureThatBeginsWithZero } from '@bonafide/testing/pss-signature';
import fc from 'fast-check';
import { CompactSign, compactVerify } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { derSequence, derUnsignedInteger } from './der/der-writer.js';
import { generatePrivateKey } from './generate-key.js';
import {
  isJwsAlgorithm,
  isKeyFor,
  JWS_ALGORITHMS,
  jwsAlgorithmFor,
  signJws,
  signJwsAs,
  verifyJws,
  type JwsAlgorithm,
} from './jws-algorithm.js';
import { KEY_TYPES } from './key-type.js';
import { createKeySigner, type Signer } from './signer.js';

const rsa = makeKeyPair('rsa', { modulusLength: 2048 });
const curves = {
  ES256: makeKeyPair('ec', { namedCurve: 'P-256' }),
  ES384: makeKeyPair('ec', { namedCurve: 'P-384' }),
  ES512: makeKeyPair('ec', { namedCurve: 'P-521' }),
};
const pairs: Readonly<
  Record<JwsAlgorithm, { readonly publicKey: KeyObject; readonly privateKey: KeyObject }>
> = {
  ...curves,
  ...{ RS256: rsa, RS384: rsa, RS512: rsa, PS256: rsa, PS384: rsa, PS512: rsa },
};
const data = Buffer.from('eyJhbGciOiJub25lIn0.e30');
const directory = mkdtempSync(join(tmpdir(), 'bonafide-jws-'));
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe.each(JWS_ALGORITHMS)('%s', (algorithm) => {
  const { publicKey, privateKey } = pairs[algorithm];

  it('verifies what jose signs, and not when a bit of it is another', async () => {
    const token = await new CompactSign(Buffer.from('payload'))
      .setProtectedHeader({ alg: algorithm })
      .sign(privateKey);
    const [header, payload, text = ''] = token.split('.');
    const signingInput = Buffer.from(`${header}.${payload}`);
    const signature = Buffer.from(text, 'base64url');
    expect(await verifyJws({ algorithm, publicKey, data: signingInput, signature })).toBe(true);
    for (const [bytes, changed] of [
      [signature, 'signature'],
      [signingInput, 'data'],
    ] as const) {
      const index = bytes.length >> 1;
      const mutated = Buffer.from(bytes);
      mutated[index] = (mutated[index] ?? 0) ^ 1;
      const input = { algorithm, publicKey, data: signingInput, signature, [changed]: mutated };
      expect(await verifyJws(input)).toBe(false);
    }
  });

  it('signs what jose verifies', async () => {
    const signingInput = Buffer.from(
      `${Buffer.from(JSON.stringify({ alg: algorithm })).toString('base64url')}.cGF5bG9hZA`,
    );
    const signature = await signJwsAs(algorithm, privateKey, signingInput);
    const token = `${signingInput.toString()}.${signature.toString('base64url')}`;
    const { payload } = await compactVerify(token, publicKey, { algorithms: [algorithm] });
    expect(Buffer.from(payload).toString()).toBe('payload');
  });

  it('says no to what another algorithm signed', async () => {
    for (const other of JWS_ALGORITHMS) {
      if (other === algorithm) continue;
      const signature = await signJwsAs(other, pairs[other].privateKey, data);
      expect(await verifyJws({ algorithm, publicKey, data, signature }), other).toBe(false);
      expect(await verifyJws({ algorithm, publicKey: pairs[other].publicKey, data, signature }), other).toBe(
        false,
      );
    }
  });

  it('says no to signatures of any other length', async () => {
    const signature = await signJwsAs(algorithm, privateKey, data);
    for (const wrong of [
      Buffer.alloc(0),
      Buffer.alloc(1),
      signature.subarray(1),
      signature.subarray(0, -1),
      Buffer.concat([signature, Buffer.alloc(1)]),
      Buffer.alloc(signature.length),
      Buffer.alloc(signature.length, 0xff),
      Buffer.alloc(8192, 0xff),
    ]) {
      expect(await verifyJws({ algorithm, publicKey, data, signature: wrong })).toBe(false);
    }
  });
});

it.each(['PS256', 'PS384', 'PS512'] as const)(
  'says no to a %s signature that lost the zero it begins with',
  async (algorithm) => {
    const hash = `sha${algorithm.slice(2)}`;
    const signature = pssSignatureThatBeginsWithZero(rsa.privateKey, hash, data);
    const { publicKey } = rsa;
    expect(await verifyJws({ algorithm, publicKey, data, signature })).toBe(true);
    expect(await verifyJws({ algorithm, publicKey, data, signature: signature.subarray(1) })).toBe(false);
  },
);

it('does not take the DER form of an ECDSA signature', async () => {
  const signature = sign('sha256', data, curves.ES256.privateKey);
  expect(await verifyJws({ algorithm: 'ES256', publicKey: curves.ES256.publicKey, data, signature })).toBe(
    false,
  );
});

it.each([0, 20, 64])('wants the salt of PS256 as long as the hash, not %i bytes', async (saltLength) => {
  const key: SignKeyObjectInput = {
    key: rsa.privateKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength,
  };
  const signature = sign('sha256', data, key);
  expect(await verifyJws({ algorithm: 'PS256', publicKey: rsa.publicKey, data, signature })).toBe(false);
});

describe('a key', () => {
  it.each([
    ['of another curve', 'ES256', curves.ES384.publicKey],
    ['of a curve that is not accepted', 'ES256', ec('secp256k1')],
    ['of RSA for ECDSA', 'ES256', rsa.publicKey],
    ['of ECDSA for RSA', 'RS256', curves.ES256.publicKey],
    ['of RSA with 1024 bits', 'RS256', makeKeyPair('rsa', { modulusLength: 1024 }).publicKey],
    ['of RSA kept for PSS', 'PS256', makeKeyPair('rsa-pss', { modulusLength: 2048 }).publicKey],
    ['of Ed25519', 'ES256', makeKeyPair('ed25519').publicKey],
  ] as const)('%s is none', async (_name, algorithm, publicKey) => {
    expect(isKeyFor(algorithm, publicKey)).toBe(false);
    expect(await verifyJws({ algorithm, publicKey, data, signature: Buffer.alloc(64) })).toBe(false);
  });

  function ec(namedCurve: string): KeyObject {
    return makeKeyPair('ec', { namedCurve }).publicKey;
  }
});

it.each(['none', 'HS256', 'es256', 'ES256K', 'EdDSA', '', undefined, null, 7, ['ES256'], { alg: 'ES256' }])(
  '%j is no algorithm',
  (name) => {
    expect(isJwsAlgorithm(name)).toBe(false);
  },
);

describe.each(KEY_TYPES)('a signer of %s', (keyType) => {
  it('signs what jose and openssl verify', async () => {
    const privateKey = await generatePrivateKey(keyType);
    const signer = createKeySigner(privateKey);
    const algorithm = jwsAlgorithmFor(keyType);
    const header = Buffer.from(JSON.stringify({ alg: algorithm })).toString('base64url');
    const signature = await signJws(signer, Buffer.from(`${header}.e30`));
    await compactVerify(`${header}.e30.${signature.toString('base64url')}`, signer.publicKey);

    const [key, file, signed] = ['key', 'signature', 'data'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(key, signer.publicKey.export({ format: 'pem', type: 'spki' }));
    writeFileSync(file, algorithm.startsWith('ES') ? derOf(signature) : signature);
    writeFileSync(signed, `${header}.e30`);
    const digest = `-sha${algorithm.slice(2)}`;
    const output = execFileSync('openssl', ['dgst', digest, '-verify', key, '-signature', file, signed]);
    expect(output.toString()).toBe('Verified OK\n');
  });
});

/** The numbers of a signature as X.509 writes them. */
function derOf(signature: Buffer): Buffer {
  const middle = signature.length / 2;
  return derSequence(
    derUnsignedInteger(signature.subarray(0, middle)),
    derUnsignedInteger(signature.subarray(middle)),
  );
}

describe('the numbers of an ECDSA signature', () => {
  const { publicKey } = curves.ES256;
  const signerOf = (signature: Buffer): Signer => ({
    keyType: 'ec-p256',
    publicKey,
    sign: () => Promise.resolve(signature),
  });

  it('are padded to the length of the curve, however short', async () => {
    const number = fc.uint8Array({ minLength: 1, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
    await fc.assert(
      fc.asyncProperty(number, number, async (r, s) => {
        const der = derSequence(derUnsignedInteger(r), derUnsignedInteger(s));
        const signature = await signJws(signerOf(der), data);
        expect(signature.toString('hex')).toBe(
          r.toString('hex').padStart(64, '0') + s.toString('hex').padStart(64, '0'),
        );
      }),
    );
  });

  const one = Buffer.from('020101', 'hex');
  const tooLong = derUnsignedInteger(Buffer.alloc(33, 1));
  it.each([
    ['too long', derSequence(tooLong, one)],
    ['negative', derSequence(Buffer.from('0201ff', 'hex'), one)],
    ['only one', derSequence(one)],
    ['three', derSequence(one, one, one)],
    ['followed by something', Buffer.concat([derSequence(one, one), Buffer.alloc(1)])],
    ['nothing at all', Buffer.alloc(0)],
  ])('are refused when they are %s', async (_name, der) => {
    await expect(signJws(signerOf(der), data)).rejects.toThrow(BonafideError);
  });
});
