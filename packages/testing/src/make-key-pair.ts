/** Keys of every kind for tests, at once and safe to export. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type ED25519KeyPairOptions,
  type KeyObject,
} from 'node:crypto';

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export type KeyPairKind =
  | readonly [type: 'ec', options: { readonly namedCurve: string }]
  | readonly [
      type: 'rsa' | 'rsa-pss',
      options: { readonly modulusLength: number; readonly publicExponent?: number },
    ]
  | readonly [type: 'ed25519'];

/**
 * Made by way of their encoding, and not as the key objects of `generateKeyPairSync`: those share a lock with the job
 * that made them, which takes it when it is collected. A collection that comes while such a key is exported, which holds
 * the lock, stops the process for ever (Node.js 20). Jobs of `generateKeyPair` are not collected and know no such end.
 */
export function makeKeyPair(...kind: KeyPairKind): KeyPair {
  const { publicKey, privateKey } = encodedKeyPair(kind);
  return {
    publicKey: createPublicKey({ key: publicKey, format: 'der', type: 'spki' }),
    privateKey: createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' }),
  };
}

const ENCODINGS: ED25519KeyPairOptions<'der', 'der'> = {
  publicKeyEncoding: { format: 'der', type: 'spki' },
  privateKeyEncoding: { format: 'der', type: 'pkcs8' },
};

function encodedKeyPair(kind: KeyPairKind): { publicKey: Buffer; privateKey: Buffer } {
  switch (kind[0]) {
    case 'ec':
      return generateKeyPairSync('ec', { ...kind[1], ...ENCODINGS });
    case 'rsa':
      return generateKeyPairSync('rsa', { ...kind[1], ...ENCODINGS });
    case 'rsa-pss':
      return generateKeyPairSync('rsa-pss', { ...kind[1], ...ENCODINGS });
    case 'ed25519':
      return generateKeyPairSync('ed25519', ENCODINGS);
  }
}
