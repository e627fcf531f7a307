/** Keys in one private JSON file, as SPIRE's disk key manager lays it out: `{"keys": {"<key id>": "<base64 PKCS#8>"}}`. */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { decodeBase64 } from '@bonafide/shared/crypto/pem';
import { exportPkcs8, importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import {
  createPrivateDirectory,
  readFileIfExists,
  removeUnfinishedWrites,
  writeFileAtomic,
} from '@bonafide/shared/runtime/private-file';
import type { KeyManager, Signer } from './key-manager.js';

const keyFileSchema = z.strictObject({ keys: z.record(z.string().min(1), z.string()) });

interface StoredKey {
  /** Base64 PKCS#8, as it is in the file. */
  readonly encoded: string;
  readonly signer: Signer;
}

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
    const text = await readFileIfExists(path);
    if (text === undefined) return new DiskKeyManager(path, new Map());
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) {
      throw new BonafideError(
        'failed_precondition',
        `${path} holds private keys and others may read it; run: chmod 600 ${path}`,
      );
    }
    return new DiskKeyManager(path, parseKeyFile(path, text.toString('utf8')));
  }

  async generateKey(keyId: string, keyType: KeyType): Promise<Signer> {
    const privateKey = await generatePrivateKey(keyType);
    const signer = createKeySigner(privateKey);
    const encoded = exportPkcs8(privateKey).toString('base64');
    await this.#change((keys) => keys.set(keyId, { encoded, signer }));
    return signer;
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

function parseKeyFile(path: string, text: string): ReadonlyMap<string, StoredKey> {
  try {
    const { keys } = keyFileSchema.parse(JSON.parse(text));
    return new Map(
      Object.entries(keys).map(([keyId, encoded]) => [
        keyId,
        {
          encoded,
          signer: createKeySigner(importPkcs8(decodeBase64(encoded, `key ${JSON.stringify(keyId)}`))),
        },
      ]),
    );
  } catch (cause) {
    // What the parser says of JSON may quote the text, and the text is keys.
    const reason = cause instanceof BonafideError ? `: ${errorMessage(cause)}` : '';
    throw new BonafideError('failed_precondition', `the key file ${path} is damaged${reason}`);
  }
}
