/** Where signing keys live. A key never leaves its manager; a Signer is the right to use it. */
import type { KeyObject } from 'node:crypto';
import type { KeyType } from '@bonafide/shared/crypto/key-type';

export interface Signer {
  readonly keyType: KeyType;
  readonly publicKey: KeyObject;
  /** @param hash the digest of the signature. ECDSA signatures come back DER-encoded. */
  sign(data: Uint8Array, hash: 'sha256' | 'sha384' | 'sha512'): Promise<Buffer>;
}

export interface KeyManager {
  /** Makes a key under `keyId`, in place of one that was there; durable before it resolves. */
  generateKey(keyId: string, keyType: KeyType): Promise<Signer>;
  /** Undefined when there is no such key. */
  getSigner(keyId: string): Promise<Signer | undefined>;
  deleteKey(keyId: string): Promise<void>;
}
