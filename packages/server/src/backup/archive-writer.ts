/** Writes a backup: under another name until it is complete and on the disk, with as little in memory as a part hands over at once. */
import { createHash, randomBytes } from 'node:crypto';
import { lstat, open, unlink, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { replaceFile } from '@bonafide/shared/runtime/private-file';
import { BLOCK_BYTES, encodeHeader } from './archive-header.js';

export interface WrittenPart {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export class ArchiveWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #temporary: string;
  readonly #file: FileHandle;
  readonly #created: Date;
  #offset = 0;
  #isOpen = true;

  private constructor(path: string, temporary: string, file: FileHandle, created: Date) {
    this.#path = path;
    this.#temporary = temporary;
    this.#file = file;
    this.#created = created;
  }

  /** @throws BonafideError `already_exists`: a backup is not written over another one; `unavailable` when it cannot be made. */
  static async create(path: string, created: Date): Promise<ArchiveWriter> {
    if ((await lstat(path).catch(() => undefined)) !== undefined) {
      throw new BonafideError('already_exists', `${path} is there already; name a file that is not`);
    }
    const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
    const file = await open(temporary, 'wx', 0o600).catch((error: unknown) => fail(path, error));
    return new ArchiveWriter(path, temporary, file, created);
  }

  /** Adds a part as it comes. */
  async add(name: string, chunks: AsyncIterable<Uint8Array>): Promise<WrittenPart> {
    const hash = createHash('sha256');
    const start = this.#offset;
    this.#offset += BLOCK_BYTES;
    let bytes = 0;
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      await this.#write(chunk);
    }
    await this.#write(Buffer.alloc((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES));
    await this.#writeAt(encodeHeader({ name, bytes }, this.#created), start);
    return { name, bytes, sha256: hash.digest('hex') };
  }

  /** The file is there, whole, when this resolves. */
  async finish(): Promise<void> {
    await this.#write(Buffer.alloc(2 * BLOCK_BYTES));
    try {
      await this.#file.sync();
      this.#isOpen = false;
      await this.#file.close();
      await replaceFile(this.#temporary, this.#path);
    } catch (error) {
      await unlink(this.#temporary).catch(() => undefined); // it may have its name by now
      fail(this.#path, error);
    }
  }

  /** Leaves nothing of what was not finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#file.close();
    await unlink(this.#temporary);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#writeAt(bytes, this.#offset);
    this.#offset += bytes.length;
  }

  async #writeAt(bytes: Uint8Array, offset: number): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      const { bytesWritten } = await this.#file
        .write(bytes, written, bytes.length - written, offset + written)
        .catch((error: unknown) => fail(this.#path, error));
      written += bytesWritten;
    }
  }
}

function fail(path: string, error: unknown): never {
  throw new BonafideError('unavailable', `cannot write the backup ${path}: ${errorMessage(error)}`, {
    cause: error,
  });
}
