/** Refused calls on their way to the audit log: one a second for each address is told of, and how many there were beside it. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { AuditActor, AuditEvent } from '../audit/audit-event.js';
import type { AuditLog } from '../audit/audit-log.js';
import type { CallAudit } from '../audit/call-audit.js';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { callNames } from '@bonafide/shared/telemetry/call-names';
import type { Peer } from './peer.js';

interface Source {
  toldAtMs: number;
  untold: number;
}

export interface CallDenialsOptions {
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
}

const INTERVAL_MS = 1_000;
const MOST_SOURCES = 10_000;

export class CallDenials {
  readonly #options: CallDenialsOptions;
  /** In the order in which they were told of. */
  readonly #sources = new Map<string, Source>();

  constructor(options: CallDenialsOptions) {
    this.#options = options;
  }

  /** Of a call that the gate let in and its handler refused. */
  take(call: CallAudit, peer: Peer, reason: string | undefined): readonly AuditEvent[] {
    const untold = this.#count(peer);
    if (untold === undefined) return [];
    return [...this.#more(peer, untold), ...call.whole({ event: 'call_denied', result: 'denied', reason })];
  }

  /** Of a call that the gate refused. Nobody waits for it: it gives nothing away. */
  async refused(peer: Peer, method: string, requestId: string, reason: string): Promise<void> {
    const untold = this.#count(peer);
    if (untold === undefined) return;
    const event = { event: 'call_denied', result: 'denied', actor: actorOfPeer(peer) } as const;
    try {
      await this.#options.audit.recordAll([
        ...this.#more(peer, untold),
        { ...event, method, requestId, reason },
      ]);
    } catch (error) {
      this.#options.log.warn({ err: error, ...callNames(method) }, 'a refused call is not in the audit log');
    }
  }

  /** Of what was not told of one by one; when no more calls come. Never rejects. */
  async flush(): Promise<void> {
    const events = [...this.#sources].flatMap(([source, { untold }]) =>
      untold === 0 ? [] : [calls(actorOfSource(source), untold)],
    );
    this.#sources.clear();
    if (events.length === 0) return;
    await this.#options.audit.recordAll(events).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'how many calls were refused is not in the audit log');
    });
  }

  /** @returns how many went untold before this one; undefined when this one does too. */
  #count(peer: Peer): number | undefined {
    const key = sourceOf(peer);
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#sources.get(key);
    if (known !== undefined && nowMs - known.toldAtMs < INTERVAL_MS) {
      known.untold += 1;
      return undefined;
    }
    this.#sources.delete(key);
    this.#sources.set(key, { toldAtMs: nowMs, untold: 0 });
    const [oldest] = this.#sources.keys();
    if (this.#sources.size > MOST_SOURCES && oldest !== undefined) this.#sources.delete(oldest);
    return known?.untold ?? 0;
  }

  #more(peer: Peer, untold: number): readonly AuditEvent[] {
    return untold === 0 ? [] : [calls(actorOfPeer(peer), untold)];
  }
}

function calls(actor: AuditActor, count: number): AuditEvent {
  return { event: 'calls_denied', result: 'denied', actor, details: { count } };
}

function sourceOf(peer: Peer): string {
  return peer.kind === 'local' ? `uid:${peer.uid}` : peer.address;
}

function actorOfSource(source: string): AuditActor {
  const uid = /^uid:(\d+)$/.exec(source)?.[1];
  return uid === undefined ? { kind: 'unknown', address: source } : { kind: 'unknown', uid: Number(uid) };
}

/** Of a caller whom the gate refused: what the transport says. */
function actorOfPeer(peer: Peer): AuditActor {
  if (peer.kind === 'local') return { kind: 'unknown', uid: peer.uid, pid: peer.pid };
  return { kind: 'unknown', address: peer.address, spiffeId: peer.svid?.spiffeId };
}
