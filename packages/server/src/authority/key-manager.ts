/** Where signing keys live. A key never leaves its manager; a Signer is the right to use it. */
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import type { Signer } from '@bonafide/shared/crypto/signer';

import type { StoredKey } from './key-file.js';

export type { Signer };

export interface KeyManager {
  /** Makes a key under `keyId`, in place of one that was there; durable before it resolves. */
  generateKey(keyId: string, keyType: KeyType): Promise<Signer>;
  /** Takes keys over that another manager wrote, in place of those of the same name; durable before it resolves. Absent where keys cannot come from outside. */
  importKeys?(keys: ReadonlyMap<string, StoredKey>): Promise<void>;
  /** Undefined when there is no such key. */
  getSigner(keyId: string): Promise<Signer | undefined>;
  /** Every key there is, so that those which nobody knows any more can be removed. */
  listKeyIds(): Promise<readonly string[]>;
  /** Does nothing when there is no such key. */
  deleteKey(keyId: string): Promise<void>;
}
