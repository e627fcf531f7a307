/** After a crash one place may have records that another one has not: they are brought there, so that each holds the whole chain. */
import { rowsOf } from './audit-database.js';
import type { AuditEventRecords } from '../store/audit-event-record.js';
import type { ChainHead } from './audit-log.js';
import { isAuditEventName } from './audit-events.js';
import { parseRecord, type AuditLine } from './audit-record.js';
import type { AuditSink } from './audit-sink.js';
import { readLines } from './read-lines.js';

/** A place that can be read. */
export interface ReadablePlace {
  readonly sink: AuditSink;
  readonly head: ChainHead | undefined;
  /** Of this server, after that record. */
  readonly after: (seq: number) => AsyncIterable<AuditLine>;
}

/** What a crash leaves is what was being written; more than this is something else, and stays a gap. */
const MOST_LINES = 50_000;

/** A place without any record begins with what comes now. */
export async function catchUp(places: readonly ReadablePlace[]): Promise<void> {
  const [furthest] = [...places].sort((one, other) => seqOf(other) - seqOf(one));
  if (furthest === undefined) return;
  for (const { sink, head } of places) {
    if (head === undefined || head.seq >= seqOf(furthest) || seqOf(furthest) - head.seq > MOST_LINES)
      continue;
    const missing: AuditLine[] = [];
    for await (const line of furthest.after(head.seq)) missing.push(line);
    if (missing[0]?.seq === head.seq + 1) await sink.write(missing);
  }
}

export async function* fileLinesAfter(path: string, seq: number): AsyncGenerator<AuditLine, void> {
  for await (const { bytes, isEnded } of readLines(path)) {
    const line = isEnded ? lineOf(bytes.toString('utf8')) : undefined;
    if (line !== undefined && line.seq > seq) yield line;
  }
}

export async function* rowLinesAfter(
  records: AuditEventRecords,
  serverId: string,
  seq: number,
): AsyncGenerator<AuditLine, void> {
  for await (const { line } of rowsOf(records, { serverId }, { serverId, seq })) {
    const found = lineOf(line);
    if (found !== undefined) yield found;
  }
}

function lineOf(text: string): AuditLine | undefined {
  const { seq, hash, time, event, result } = parseRecord(text);
  if (!isAuditEventName(event)) return undefined;
  return { seq, hash, time: new Date(time), event, result, text, beginsFile: false };
}

function seqOf({ head }: ReadablePlace): number {
  return head?.seq ?? 0;
}
