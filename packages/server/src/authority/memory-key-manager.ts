/** Keys that die with the process: after a restart the server signs with a new authority. */
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import type { KeyManager, Signer } from './key-manager.js';

export class MemoryKeyManager implements KeyManager {
  readonly #signers = new Map<string, Signer>();

  async generateKey(keyId: string, keyType: KeyType): Promise<Signer> {
    const signer = createKeySigner(await generatePrivateKey(keyType));
    this.#signers.set(keyId, signer);
    return signer;
  }

  getSigner(keyId: string): Promise<Signer | undefined> {
    return Promise.resolve(this.#signers.get(keyId));
  }

  listKeyIds(): Promise<readonly string[]> {
    return Promise.resolve([...this.#signers.keys()]);
  }

  deleteKey(keyId: string): Promise<void> {
    this.#signers.delete(keyId);
    return Promise.resolve();
  }
}
