/** Reads of many rows in pieces, so that other work gets its turn: a synchronous driver would hold the thread for all of them. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Page, PageRequest } from '../store.js';

const ROWS_AT_A_TIME = 2000;

/** Reads up to `limit` rows whose key is greater than `after`, in the order of the key. */
export type ReadRows<T> = (after: string | undefined, limit: number) => Promise<readonly T[]>;

/** A page of `request.size` rows; size 0 asks for all of them, as in SPIRE. */
export async function readPage<T>(
  request: PageRequest,
  keyOf: (item: T) => string,
  read: ReadRows<T>,
): Promise<Page<T>> {
  if (request.size > 0) {
    const rows = await read(request.token, request.size + 1);
    const items = rows.slice(0, request.size);
    const last = rows.length > request.size ? items.at(-1) : undefined;
    return { items, nextPageToken: last === undefined ? undefined : keyOf(last) };
  }
  const items: T[] = [];
  for await (const batch of readBatches(keyOf, read, request.token)) {
    for (const item of batch) items.push(item);
  }
  return { items, nextPageToken: undefined };
}

export async function* readBatches<T>(
  keyOf: (item: T) => string,
  read: ReadRows<T>,
  start?: string,
): AsyncGenerator<readonly T[], void, undefined> {
  let after = start;
  for (;;) {
    const batch = await read(after, ROWS_AT_A_TIME);
    if (batch.length > 0) yield batch;
    const last = batch.at(-1);
    if (last === undefined || batch.length < ROWS_AT_A_TIME) return;
    after = keyOf(last);
    await nextTurn();
  }
}

/** Long lists of keys in pieces that fit a statement. */
export function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[], void, undefined> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
