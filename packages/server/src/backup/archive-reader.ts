/** Reads a backup by its parts: where each is comes from the headers, what each is worth from the manifest. */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { BLOCK_BYTES, decodeHeader } from './archive-header.js';
import { MANIFEST_NAME, SEAL_NAME, parseManifest, type Manifest } from './manifest.js';

interface Extent {
  readonly offset: number;
  readonly bytes: number;
}

const MOST_MEMBERS = 250;
const LARGEST_MANIFEST_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

export class ArchiveReader implements AsyncDisposable {
  readonly manifest: Manifest;
  readonly #file: FileHandle;
  readonly #extents: ReadonlyMap<string, Extent>;

  private constructor(file: FileHandle, extents: ReadonlyMap<string, Extent>, manifest: Manifest) {
    this.#file = file;
    this.#extents = extents;
    this.manifest = manifest;
  }

  /** @throws BonafideError `not_found`, `invalid_argument` for a file that is no backup, `failed_precondition` for one of a later format. */
  static async open(path: string): Promise<ArchiveReader> {
    const file = await open(path, 'r').catch((error: unknown) => {
      throw new BonafideError('not_found', `cannot read the backup ${path}: ${errorMessage(error)}`, {
        cause: error,
      });
    });
    try {
      const extents = await findMembers(file);
      const manifest = parseManifest(await readManifest(file, extents));
      checkMembers(extents, manifest);
      return new ArchiveReader(file, extents, manifest);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The bytes of a part of the manifest. */
  read(name: string): AsyncIterable<Buffer> {
    const extent = this.#extents.get(name);
    if (extent === undefined) throw new BonafideError('internal', `the backup has no part ${name}`);
    return readExtent(this.#file, extent);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function findMembers(file: FileHandle): Promise<ReadonlyMap<string, Extent>> {
  const extents = new Map<string, Extent>();
  const { size } = await file.stat();
  let offset = 0;
  while (extents.size <= MOST_MEMBERS) {
    const member = decodeHeader(await readBlock(file, offset));
    offset += BLOCK_BYTES;
    if (member === undefined) {
      if (size !== offset + BLOCK_BYTES) throw damaged('something follows its end');
      return extents;
    }
    if (extents.has(member.name)) throw damaged(`it has two parts ${member.name}`);
    extents.set(member.name, { offset, bytes: member.bytes });
    offset += Math.ceil(member.bytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw damaged(`it has more than ${MOST_MEMBERS} parts`);
}

async function readBlock(file: FileHandle, offset: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(BLOCK_BYTES), 0, BLOCK_BYTES, offset);
  if (bytesRead < BLOCK_BYTES) throw damaged('it ends too early');
  return buffer;
}

async function readManifest(file: FileHandle, extents: ReadonlyMap<string, Extent>): Promise<string> {
  const manifest = await readSmall(file, extents, MANIFEST_NAME);
  const seal = (await readSmall(file, extents, SEAL_NAME)).toString('latin1');
  if (seal !== `${createHash('sha256').update(manifest).digest('hex')}\n`) {
    throw damaged('the hash of its manifest is another one');
  }
  return manifest.toString('utf8');
}

async function readSmall(
  file: FileHandle,
  extents: ReadonlyMap<string, Extent>,
  name: string,
): Promise<Buffer> {
  const extent = extents.get(name);
  if (extent === undefined) throw damaged(`it has no ${name}`);
  if (extent.bytes > LARGEST_MANIFEST_BYTES) throw damaged(`its ${name} is too large`);
  const chunks: Buffer[] = [];
  for await (const chunk of readExtent(file, extent)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What the manifest does not name has no hash, and what it names is to be there. */
function checkMembers(extents: ReadonlyMap<string, Extent>, { parts }: Manifest): void {
  const names = new Set(parts.map(({ name }) => name));
  if (names.size !== parts.length) throw damaged('its manifest names a part twice');
  for (const { name, bytes } of parts) {
    if (extents.get(name)?.bytes !== bytes)
      throw damaged(`its part ${name} is missing or has another length`);
  }
  for (const name of extents.keys()) {
    if (name !== MANIFEST_NAME && name !== SEAL_NAME && !names.has(name))
      throw damaged(`its manifest does not name its part ${name}`);
  }
}

async function* readExtent(file: FileHandle, { offset, bytes }: Extent): AsyncIterable<Buffer> {
  for (let read = 0; read < bytes;) {
    const length = Math.min(CHUNK_BYTES, bytes - read);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset + read);
    if (bytesRead === 0) throw damaged('it ends too early');
    read += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function damaged(how: string): BonafideError {
  return new BonafideError(
    'invalid_argument',
    `the file is no backup of this program, or is damaged: ${how}`,
  );
}
