/** Whole entries of the kernel's IMA list in its binary form, from a certain one on, as many as there is room for. */
import { open, type FileHandle } from 'node:fs/promises';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

const CHUNK_BYTES = 256 * 1024;
/** Of a list: nobody who measures that much waits for it to be read. */
const MOST_BYTES = 256 * 1024 * 1024;
const LARGEST_ENTRY_BYTES = 128 * 1024;
/** PCR, SHA-1 of the template, length of its name. */
const NAME_LENGTH_AT = 24;

/**
 * @param from how many entries to leave out.
 * @throws the file system's error; BonafideError `invalid_argument` when it is no such list.
 */
export async function readImaEntries(path: string, from: number, room: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    return await readEntries(file, from, room);
  } finally {
    await file.close();
  }
}

async function readEntries(file: FileHandle, from: number, room: number): Promise<Buffer> {
  const taken: Buffer[] = [];
  let bytesLeft = room;
  let index = 0;
  let pending = Buffer.alloc(0);
  for (let read = 0; read < MOST_BYTES;) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    // What is cut off at the end was being measured while we read.
    if (bytesRead === 0) break;
    read += bytesRead;
    pending = Buffer.concat([pending, buffer.subarray(0, bytesRead)]);
    for (let length = entryBytes(pending); length !== undefined; length = entryBytes(pending)) {
      if (index >= from) {
        bytesLeft -= length;
        if (bytesLeft < 0) return Buffer.concat(taken);
        taken.push(pending.subarray(0, length));
      }
      index += 1;
      pending = pending.subarray(length);
    }
  }
  return Buffer.concat(taken);
}

/** How long the first entry is; undefined when it is not whole. */
function entryBytes(list: Buffer): number | undefined {
  const nameEnd = fieldEnd(list, NAME_LENGTH_AT);
  const end = nameEnd === undefined ? undefined : fieldEnd(list, nameEnd);
  return end !== undefined && end <= list.length ? end : undefined;
}

/** The end of a field that begins with its length. */
function fieldEnd(list: Buffer, at: number): number | undefined {
  if (at + 4 > list.length) return undefined;
  const end = at + 4 + list.readUInt32LE(at);
  if (end > LARGEST_ENTRY_BYTES) {
    throw invalidArgument(
      `the IMA list has an entry of ${end} bytes or more; expected the kernel's binary list`,
    );
  }
  return end;
}
