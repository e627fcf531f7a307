/** Keys in one private JSON file, as SPIRE's disk key manager lays it out: `{"keys": {"<key id>": "<base64 PKCS#8>"}}`. */
import { dirname } from 'node:path';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import {
  createPrivateDirectory,
  removeUnfinishedWrites,
  writeFileAtomic,
} from '@bonafide/shared/runtime/private-file';
import { readKeyFile, type StoredKey } from './key-file.js';
import type { KeyManager, Signer } from './key-manager.js';

export class DiskKeyManager implements KeyManager {
  readonly #path: string;
  #keys: ReadonlyMap<string, StoredKey>;
  /** Writes replace the whole file, so they take turns. */
  #lastWrite: Promise<unknown> = Promise.resolve();

  private constructor(path: string, keys: ReadonlyMap<string, StoredKey>) {
    this.#path = path;
    this.#keys = keys;
  }

  /**
   * @param path the file; it and its folder are made when absent. One process at a time may use it.
   * @throws BonafideError `failed_precondition` when the file is damaged or others may read it.
   */
  static async open(path: string): Promise<DiskKeyManager> {
    await createPrivateDirectory(dirname(path));
    await removeUnfinishedWrites(path);
    return new DiskKeyManager(path, (await readKeyFile(path)) ?? new Map<string, StoredKey>());
  }

  async generateKey(keyId: string, keyType: KeyType): Promise<Signer> {
    const privateKey = await generatePrivateKey(keyType);
    const signer = createKeySigner(privateKey);
    const encoded = exportPkcs8(privateKey).toString('base64');
    await this.#change((keys) => keys.set(keyId, { encoded, signer }));
    return signer;
  }

  async importKeys(keys: ReadonlyMap<string, StoredKey>): Promise<void> {
    const isNew = [...keys].some(([keyId, { encoded }]) => this.#keys.get(keyId)?.encoded !== encoded);
    if (!isNew) return;
    await this.#change((present) => {
      for (const [keyId, key] of keys) present.set(keyId, key);
    });
  }

  getSigner(keyId: string): Promise<Signer | undefined> {
    return Promise.resolve(this.#keys.get(keyId)?.signer);
  }

  listKeyIds(): Promise<readonly string[]> {
    return Promise.resolve([...this.#keys.keys()]);
  }

  async deleteKey(keyId: string): Promise<void> {
    if (this.#keys.has(keyId)) await this.#change((keys) => keys.delete(keyId));
  }

  /** The file first, then what we hold: a key that is not durable is not there. */
  #change(edit: (keys: Map<string, StoredKey>) => unknown): Promise<void> {
    const write = this.#lastWrite.then(async () => {
      const keys = new Map(this.#keys);
      edit(keys);
      const content = { keys: Object.fromEntries([...keys].map(([keyId, { encoded }]) => [keyId, encoded])) };
      await writeFileAtomic(this.#path, `${JSON.stringify(content, undefined, 2)}\n`);
      this.#keys = keys;
    });
    this.#lastWrite = write.catch(() => undefined); // whoever asked for it hears of it; the next one tries again
    return write;
  }
}
