/** Which records a search is for. */
import { categoryOf, isAuditEventName } from './audit-events.js';
import type { AuditRecord } from './audit-record.js';

/** What is undefined matches everything. */
export interface RecordMatch {
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Names of events, or of categories of them. */
  readonly events?: readonly string[] | undefined;
  readonly result?: string | undefined;
  /** A SPIFFE ID, `uid:1000`, an IP address, or a kind of caller. */
  readonly actor?: string | undefined;
  /** As the subject, be it a workload or an agent. */
  readonly spiffeId?: string | undefined;
  readonly entryId?: string | undefined;
  /** Serial number or jti. */
  readonly svid?: string | undefined;
  readonly requestId?: string | undefined;
}

export function matches(record: AuditRecord, match: RecordMatch): boolean {
  const { actor, subject, svid } = record;
  const time = Date.parse(record.time);
  if (match.since !== undefined && time < match.since.getTime()) return false;
  if (match.until !== undefined && time > match.until.getTime()) return false;
  if (match.events !== undefined && !match.events.some((name) => isNamed(record.event, name))) return false;
  if (!isOne(match.result, [record.result])) return false;
  const names = [actor.spiffe_id, actor.uid === undefined ? undefined : `uid:${actor.uid}`];
  if (!isOne(match.actor, [...names, actor.address, actor.kind])) return false;
  if (!isOne(match.spiffeId, [subject?.['spiffe_id'], subject?.['agent_id']])) return false;
  if (!isOne(match.entryId, [subject?.['entry_id']])) return false;
  if (!isOne(match.svid, [svid?.serial_number, svid?.jti])) return false;
  return isOne(match.requestId, [record.request_id]);
}

function isNamed(event: string, name: string): boolean {
  return event === name || (isAuditEventName(event) && categoryOf(event) === name);
}

function isOne(wanted: string | undefined, found: readonly (string | undefined)[]): boolean {
  return wanted === undefined || found.includes(wanted);
}
