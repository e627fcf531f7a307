/** The end of an audit file: the last record, and what a crash left behind it. */
import type { FileHandle } from 'node:fs/promises';
import { hash } from 'node:crypto';
import { LONGEST_LINE_BYTES, parseRecord } from './audit-record.js';
import type { ChainHead } from './audit-log.js';

export type FileTail =
  | { readonly kind: 'empty' }
  | {
      readonly kind: 'record';
      readonly head: ChainHead;
      readonly serverId: string;
      /** Up to and with the end of line of that record. */
      readonly goodBytes: number;
      readonly torn: TornEnd | undefined;
    }
  /** Whole lines that are none of this log. */
  | { readonly kind: 'damaged'; readonly problem: string };

interface TornEnd {
  readonly bytes: Buffer;
  /** SHA-256, in hexadecimal. */
  readonly hash: string;
}

/** A line and a half: what is torn was being written, and the record before it is whole. */
const LOOKED_AT = 2 * LONGEST_LINE_BYTES;
const NEWLINE = 0x0a;

export async function readFileTail(handle: FileHandle): Promise<FileTail> {
  const { size } = await handle.stat();
  if (size === 0) return { kind: 'empty' };
  // A write of several records may be torn between two of them, or in one; only the last one can be incomplete.
  const length = Math.min(size, LOOKED_AT);
  const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
  const end = buffer.lastIndexOf(NEWLINE);
  const rest = buffer.subarray(end + 1);
  const torn =
    rest.length === 0 ? undefined : { bytes: Buffer.from(rest), hash: hash('sha256', rest, 'hex') };
  if (end === -1) {
    if (length === size) return { kind: 'damaged', problem: 'it does not hold one whole record' };
    return { kind: 'damaged', problem: 'its last line is longer than any record' };
  }
  const start = end === 0 ? 0 : buffer.lastIndexOf(NEWLINE, end - 1) + 1;
  try {
    const { seq, hash: head, server_id: serverId } = parseRecord(buffer.toString('utf8', start, end));
    const goodBytes = size - length + end + 1;
    return { kind: 'record', head: { seq, hash: head }, serverId, goodBytes, torn };
  } catch {
    return { kind: 'damaged', problem: 'its last whole line is no record of this log, or was changed' };
  }
}
