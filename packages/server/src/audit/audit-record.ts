/** One record of the audit log: a line of JSON that names the hash of the line before it and ends with its own. */
import { hash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { AuditActor, AuditDetail, AuditEvent } from './audit-event.js';
import { isAuditEventName, type AuditEventName } from './audit-events.js';

/** Before the first record. */
export const GENESIS = '0'.repeat(64);

export interface AuditLine {
  readonly seq: number;
  /** Of this record; the next one names it. */
  readonly hash: string;
  readonly time: Date;
  readonly event: AuditEventName;
  readonly result: string;
  /** Without the end of line. */
  readonly text: string;
  /** Whether a file begins with it. */
  readonly beginsFile: boolean;
}

export interface ChainPlace {
  readonly serverId: string;
  readonly seq: number;
  /** Hash of the record before. */
  readonly prev: string;
}

const LONGEST_TEXT = 1_000;
const MOST_ITEMS = 100;
const HASH = /^[0-9a-f]{64}$/;
/** What follows the hashed bytes: `,"hash":"` and 64 digits and `"}`. */
const TRAILER = /,"hash":"([0-9a-f]{64})"\}$/;
const TRAILER_BYTES = 9 + 64 + 2;

/** No line is longer: every text in it is bounded, and so is how many there are. */
export const LONGEST_LINE_BYTES = 1 << 20;

/** Puts the event into its place in the chain. */
export function sealEvent(event: AuditEvent, time: Date, place: ChainPlace, beginsFile = false): AuditLine {
  const body = JSON.stringify(bodyOf(event, time, place));
  const digest = hash('sha256', body, 'hex');
  const text = `${body.slice(0, -1)},"hash":"${digest}"}`;
  return { seq: place.seq, hash: digest, time, event: event.event, result: event.result, text, beginsFile };
}

function bodyOf(event: AuditEvent, time: Date, { serverId, seq, prev }: ChainPlace): object {
  const { subject, svid, actor } = event;
  return {
    seq,
    time: time.toISOString(),
    server_id: serverId,
    event: event.event,
    result: event.result,
    actor: actorBody(actor),
    method: event.method,
    request_id: event.requestId,
    revision: event.revision,
    subject: subject && {
      spiffe_id: bounded(subject.spiffeId),
      entry_id: bounded(subject.entryId),
      agent_id: bounded(subject.agentId),
      trust_domain: bounded(subject.trustDomain),
      authority_id: bounded(subject.authorityId),
      ek_hash: bounded(subject.ekHash),
      token_hash: bounded(subject.tokenHash),
    },
    svid: svid && {
      type: svid.type,
      serial_number: svid.serialNumber,
      jti: bounded(svid.jti),
      expires_at: svid.expiresAt.toISOString(),
    },
    node_attestor_type: bounded(event.attestationType),
    findings: event.findings?.slice(0, MOST_ITEMS).map(({ text, ...finding }) => ({
      ...finding,
      text: bounded(text),
    })),
    reason: bounded(event.reason),
    details: event.details && boundedDetails(event.details),
    prev,
  };
}

function actorBody({ kind, spiffeId, uid, pid, address }: AuditActor): object {
  return { kind, spiffe_id: spiffeId, uid, pid, address };
}

function bounded(text: string | undefined): string | undefined {
  return text !== undefined && text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}

function boundedDetails(details: Readonly<Record<string, AuditDetail>>): object {
  const entries = Object.entries(details).slice(0, MOST_ITEMS);
  return Object.fromEntries(entries.map(([name, value]) => [name, boundedDetail(value)]));
}

function boundedDetail(value: AuditDetail): AuditDetail | undefined {
  if (typeof value === 'string') return bounded(value);
  if (typeof value !== 'object') return value;
  return value.slice(0, MOST_ITEMS).map((item) => bounded(item) ?? '');
}

const recordSchema = z.looseObject({
  seq: z.int().min(1),
  time: z.iso.datetime(),
  server_id: z.string().min(1).max(200),
  event: z.string().refine(isAuditEventName),
  result: z.enum(['success', 'denied', 'failure']),
  actor: z.looseObject({
    kind: z.string(),
    spiffe_id: z.string().optional(),
    uid: z.number().optional(),
    pid: z.number().optional(),
    address: z.string().optional(),
  }),
  method: z.string().optional(),
  request_id: z.string().optional(),
  revision: z.number().optional(),
  subject: z.record(z.string(), z.string()).optional(),
  svid: z
    .looseObject({
      type: z.string(),
      serial_number: z.string().optional(),
      jti: z.string().optional(),
      expires_at: z.string(),
    })
    .optional(),
  node_attestor_type: z.string().optional(),
  findings: z.array(z.looseObject({ kind: z.string(), text: z.string() })).optional(),
  reason: z.string().optional(),
  details: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]))
    .optional(),
  prev: z.string().regex(HASH),
  hash: z.string().regex(HASH),
});

/** As it is in the file; names as they are there. */
export type AuditRecord = z.output<typeof recordSchema>;

/**
 * Its fields are those of bytes whose hash was checked; whether it stands in its place is for the chain to say.
 * @throws BonafideError `invalid_argument` for a line that is not exactly what was once sealed.
 */
export function parseRecord(text: string): AuditRecord {
  const digest = TRAILER.exec(text)?.[1];
  if (digest === undefined) throw damaged('is not a record of this log');
  const body = `${text.slice(0, -TRAILER_BYTES)}}`;
  if (hash('sha256', body, 'hex') !== digest) throw damaged('was changed: its hash is another');
  let parsed;
  try {
    parsed = recordSchema.safeParse(JSON.parse(text));
  } catch {
    throw damaged('is not JSON');
  }
  if (!parsed.success) throw damaged('is not a record of this log');
  return parsed.data;
}

function damaged(problem: string): BonafideError {
  return new BonafideError('invalid_argument', problem);
}
