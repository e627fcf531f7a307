/** The keys of the authorities of one kind: those that sign or will, by the names that the key manager has for them. */
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import type { KeyManager, Signer } from './key-manager.js';

export interface AuthorityKeysOptions {
  readonly keyManager: KeyManager;
  /** Of the key IDs that are ours; a key of another name is none of our business. */
  readonly keyIdPrefix: string;
  readonly keyType: KeyType;
  readonly log: Logger;
}

export class AuthorityKeys {
  readonly #options: AuthorityKeysOptions;
  #signers: ReadonlyMap<string, Signer> = new Map();

  constructor(options: AuthorityKeysOptions) {
    this.#options = options;
  }

  /** Those of them that there are. */
  async load(keyIds: readonly string[]): Promise<void> {
    const signers = new Map<string, Signer>();
    for (const keyId of keyIds) {
      const signer = await this.#options.keyManager.getSigner(keyId);
      if (signer !== undefined) signers.set(keyId, signer);
    }
    this.#signers = signers;
  }

  /** Undefined for one that is lost. */
  get(keyId: string): Signer | undefined {
    return this.#signers.get(keyId);
  }

  has(keyId: string): boolean {
    return this.#signers.has(keyId);
  }

  async generate(keyId: string): Promise<Signer> {
    const { keyManager, keyType } = this.#options;
    const signer = await keyManager.generateKey(keyId, keyType);
    this.#signers = new Map([...this.#signers, [keyId, signer]]);
    return signer;
  }

  /** A key that stays behind does no harm and is removed at the next start. */
  async delete(keyId: string): Promise<void> {
    this.#signers = new Map([...this.#signers].filter(([id]) => id !== keyId));
    try {
      await this.#options.keyManager.deleteKey(keyId);
    } catch (error) {
      this.#options.log.warn({ err: error, key_id: keyId }, 'cannot delete a key that is no longer needed');
    }
  }

  /** Keys whose record was never written, or is gone: we died in between. */
  async deleteAllBut(kept: ReadonlySet<string>): Promise<void> {
    const { keyManager, keyIdPrefix } = this.#options;
    for (const keyId of await keyManager.listKeyIds()) {
      if (keyId.startsWith(keyIdPrefix) && !kept.has(keyId)) await keyManager.deleteKey(keyId);
    }
  }
}
