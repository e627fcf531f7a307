/** The cursor of a Watch stream on the wire: the log and the commit in one opaque name, beside the commit's revision. */
import type { WatchCursor } from '@bonafide/shared/sync/watch-message';
import type { LogPosition } from '../store/store.js';

const SEPARATOR = '/';

export function cursorAt(logId: string, { revision, nonce }: LogPosition): WatchCursor {
  return { logId: `${logId}${SEPARATOR}${nonce}`, revision };
}

/** Undefined for a cursor of another log, or one that names no commit; that the commit is in the log is for the history to say. */
export function commitOf(cursor: WatchCursor | undefined, logId: string): LogPosition | undefined {
  const prefix = `${logId}${SEPARATOR}`;
  if (cursor?.logId.startsWith(prefix) !== true || cursor.revision <= 0) return undefined;
  const nonce = cursor.logId.slice(prefix.length);
  return nonce === '' ? undefined : { revision: cursor.revision, nonce };
}
