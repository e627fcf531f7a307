import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { beforeAll, describe, expect, it } from 'vitest';
import { generatePrivateKey } from './generate-key.js';
import { jwkToSpki, spkiToJwk } from './json-web-key.js';
import { KEY_TYPES, keyTypeOf, type KeyType } from './key-type.js';
import { exportPkcs8, exportSpki, importPkcs8, importSpki } from './private-key-encoding.js';

describe.each(KEY_TYPES)('a key of type %s', (type: KeyType) => {
  let privateKey: KeyObject;
  let publicKey: KeyObject;

  beforeAll(async () => {
    privateKey = await generatePrivateKey(type);
    publicKey = createPublicKey(privateKey);
  });

  it('is of the type that was asked for', () => {
    expect(keyTypeOf(privateKey)).toBe(type);
    expect(keyTypeOf(publicKey)).toBe(type);
  });

  it('is encoded as OpenSSL encodes it', () => {
    expect(exportPkcs8(privateKey)).toEqual(privateKey.export({ format: 'der', type: 'pkcs8' }));
    expect(exportSpki(publicKey)).toEqual(publicKey.export({ format: 'der', type: 'spki' }));
    expect(exportSpki(privateKey)).toEqual(exportSpki(publicKey));
  });

  it('comes back as the same key', () => {
    const data = Buffer.from('data');
    const signature = sign('sha256', data, importPkcs8(exportPkcs8(privateKey)));
    expect(verify('sha256', data, importSpki(exportSpki(publicKey)), signature)).toBe(true);
  });

  it('is refused with bytes after it, or cut short', () => {
    const pkcs8 = exportPkcs8(privateKey);
    const spki = exportSpki(publicKey);
    expect(() => importPkcs8(Buffer.concat([pkcs8, Buffer.from([0])]))).toThrow('trailing bytes');
    expect(() => importSpki(Buffer.concat([spki, Buffer.from([0])]))).toThrow('trailing bytes');
    expect(() => importPkcs8(pkcs8.subarray(0, -1))).toThrow('cut short');
    expect(() => importSpki(spki.subarray(0, -1))).toThrow('cut short');
  });

  it('survives the way through a JSON Web Key', () => {
    const spki = exportSpki(publicKey);
    expect(jwkToSpki({ ...spkiToJwk(spki), use: 'jwt-svid', kid: 'a' })).toEqual(spki);
  });
});

it('keeps the leading zero bytes of P-256 numbers', () => {
  // One key in 256 has a short number; among so many some have.
  for (let index = 0; index < 1000; index += 1) {
    const { privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
    expect(exportPkcs8(privateKey).equals(privateKey.export({ format: 'der', type: 'pkcs8' }))).toBe(true);
  }
});

it('ignores JSON Web Keys of unknown type and refuses malformed ones', () => {
  expect(jwkToSpki({ kty: 'OKP', crv: 'Ed25519', x: 'AA' })).toBeUndefined();
  expect(jwkToSpki({ kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA' })).toBeUndefined();
  expect(() => jwkToSpki({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' })).toThrow('malformed');
  expect(() => jwkToSpki({ kty: 'RSA', n: 'a+b', e: 'AQAB' })).toThrow('"n" of the key is not base64url');
});

it('knows no other keys', () => {
  expect(keyTypeOf(makeKeyPair('ed25519').privateKey)).toBeUndefined();
  expect(keyTypeOf(makeKeyPair('ec', { namedCurve: 'secp256k1' }).privateKey)).toBeUndefined();
});
