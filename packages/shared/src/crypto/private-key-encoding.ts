/** Keys to bytes and back: PKCS#8 (RFC 5208) for private keys, SubjectPublicKeyInfo (RFC 5280 section 4.1) for public ones. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import { enterOnly } from './der/der-reader.js';
import { DER_TAG } from './der/der-tag.js';
import { keyTypeOf } from './key-type.js';

// OpenSSL's encoders cost more than making the key; for P-256 the bytes around the numbers never change (RFC 5915, RFC 5480).
const P256_PKCS8_HEAD = Buffer.from(
  '308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420',
  'hex',
);
const P256_PKCS8_MIDDLE = Buffer.from('a144034200', 'hex');
const P256_SPKI_HEAD = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');

export function exportPkcs8(privateKey: KeyObject): Buffer {
  if (keyTypeOf(privateKey) !== 'ec-p256') return privateKey.export({ format: 'der', type: 'pkcs8' });
  const { d = '', x = '', y = '' } = privateKey.export({ format: 'jwk' });
  return Buffer.concat([
    P256_PKCS8_HEAD,
    Buffer.from(d, 'base64url'),
    P256_PKCS8_MIDDLE,
    uncompressedPoint(x, y),
  ]);
}

/** @throws BonafideError `invalid_argument` when it is not exactly one PKCS#8 key. The message never quotes key bytes. */
export function importPkcs8(der: Buffer): KeyObject {
  enterOnly(der, DER_TAG.sequence, 'PKCS#8 private key');
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } catch (cause) {
    throw invalidArgument('the private key is not PKCS#8', cause);
  }
}

/** @param key the public key, or the private key it belongs to. */
export function exportSpki(key: KeyObject): Buffer {
  if (keyTypeOf(key) === 'ec-p256') {
    const { x = '', y = '' } = key.export({ format: 'jwk' });
    return Buffer.concat([P256_SPKI_HEAD, uncompressedPoint(x, y)]);
  }
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ format: 'der', type: 'spki' });
}

/** @throws BonafideError `invalid_argument` when it is not exactly one public key. */
export function importSpki(der: Buffer): KeyObject {
  enterOnly(der, DER_TAG.sequence, 'public key');
  try {
    return createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch (cause) {
    throw cause instanceof BonafideError ? cause : invalidArgument('the public key cannot be read', cause);
  }
}

function uncompressedPoint(x: string, y: string): Buffer {
  return Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}
