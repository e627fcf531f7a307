/** One agent's Watch stream: what it still has to be told, and the telling of it as fast as its reader takes it. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WatchCursor } from '@bonafide/shared/sync/watch-message';
import { inSpan } from '@bonafide/shared/telemetry/tracer';
import type { LogPosition } from '../store/store.js';
import type { SnapshotAdmission, SnapshotPlace } from './snapshot-admission.js';
import { cursorAt } from './watch-cursor.js';
import type { TurnKind, Turns } from './turns.js';
import { changeMessages, snapshotMessages, type ToldMessage, type Told } from './told-messages.js';
import type { WatchTransport } from './watch-transport.js';

export interface WatchStreamParts extends Told {
  readonly clock: Clock;
  readonly turns: Turns;
  readonly admission: SnapshotAdmission;
  readonly transport: WatchTransport;
  readonly maxWaitingEntries: number;
  /** Called once, whoever ended the stream. */
  readonly onEnd: (cause: unknown) => void;
}

/** So long a page of a snapshot may take to leave: others wait for the place of one that does not read. */
const PAGE_LIMIT_MS = 30_000;
/** So long all its pages together may take to leave while others wait for the place of one that reads little by little. */
const SNAPSHOT_LIMIT_MS = 30_000;

export class WatchStream {
  readonly #parts: WatchStreamParts;
  /** Entries and bundles whose present state, or absence, the agent has to be told. */
  #dirtyEntries = new Set<string>();
  #dirtyTrustDomains = new Set<TrustDomain>();
  #needsSnapshot = false;
  /** A delta goes out even if there is nothing to tell but the revision. */
  #needsRevision = false;
  /** The agent is yet to be asked to leave within so long. */
  #drainSpreadMs: number | undefined;
  #owesProofRequest = false;
  #place: SnapshotPlace | undefined;
  /** The trust domains whose bundles the agent is kept up to date about. */
  #followed: ReadonlySet<TrustDomain> = new Set();
  /** What the agent holds once it has read everything that was sent. */
  #sent: WatchCursor = { logId: '', revision: 0 };
  #newestSent = 0;
  /** For the reader, by the snapshot under way. */
  #snapshotWaitedMs = 0;
  #isSending = false;
  #isEnded = false;

  constructor(parts: WatchStreamParts) {
    this.#parts = parts;
  }

  /** The revision that went out last, acknowledged or not. */
  get sentRevision(): number {
    return this.#sent.revision;
  }

  /** The highest one that ever went out: a log that lost its end goes back. */
  get newestSentRevision(): number {
    return this.#newestSent;
  }

  /** The agent holds what was true at `held`, and is to be told what changed since. */
  resume(held: LogPosition, entryIds: Iterable<string>, trustDomains: Iterable<TrustDomain>): void {
    this.#sent = cursorAt(this.#parts.logId, held);
    this.#newestSent = held.revision;
    this.#needsRevision = true;
    this.tell(entryIds, trustDomains);
  }

  tellAll(): void {
    this.#needsSnapshot = true;
    this.#dirtyEntries = new Set();
    this.#dirtyTrustDomains = new Set();
    this.#start();
  }

  /** @param trustDomains those of which the bundle or the agent's need of it may have changed. */
  tell(entryIds: Iterable<string>, trustDomains: Iterable<TrustDomain>): void {
    // A snapshot that has not begun will tell it all.
    if (!this.#needsSnapshot) {
      for (const id of entryIds) this.#dirtyEntries.add(id);
      for (const trustDomain of trustDomains) this.#dirtyTrustDomains.add(trustDomain);
      if (this.#dirtyEntries.size > this.#parts.maxWaitingEntries) {
        this.tellAll();
        return;
      }
    }
    this.#start();
  }

  tellBundle(trustDomain: TrustDomain): void {
    if (this.#followed.has(trustDomain)) this.tell([], [trustDomain]);
  }

  tellRevision(): void {
    this.#needsRevision = true;
    this.#start();
  }

  /** Asks the agent to leave, before anything else; a snapshot that is waiting to begin waits on. */
  tellDrain(spreadMs: number): void {
    this.#drainSpreadMs = spreadMs;
    if (this.#place !== undefined && !this.#place.isAdmitted) this.#place.leave();
    this.#start();
  }

  /** Asks the agent to prove its node, after what is being sent; asked again before that, it is asked once. */
  tellProofRequest(): void {
    this.#owesProofRequest = true;
    this.#start();
  }

  end(error: BonafideError): void {
    if (this.#isEnded) return;
    this.#finish(error);
    this.#parts.transport.end(error);
  }

  /** The peer is gone. */
  close(): void {
    this.#finish(undefined);
  }

  #finish(cause: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#dirtyEntries.clear();
    this.#dirtyTrustDomains.clear();
    this.#place?.leave();
    this.#parts.onEnd(cause);
  }

  #start(): void {
    if (this.#isSending || this.#isEnded) return;
    this.#isSending = true;
    void this.#sendAll().catch((error: unknown) => {
      this.#finish(error);
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#hasWork()) {
      if (this.#drainSpreadMs !== undefined) await this.#sendDrain(this.#drainSpreadMs);
      else if (this.#owesProofRequest) await this.#sendProofRequest();
      else if (this.#needsSnapshot) await this.#sendSnapshot();
      else await inSpan('watch.deliver', {}, () => this.#send('change', this.#takeChanges()));
    }
    this.#isSending = false;
  }

  async #sendDrain(spreadMs: number): Promise<void> {
    this.#drainSpreadMs = undefined;
    await this.#parts.transport.send({ kind: 'drain', spreadMs });
  }

  async #sendProofRequest(): Promise<void> {
    this.#owesProofRequest = false;
    await this.#parts.transport.send({ kind: 'proof_request' });
  }

  async #sendSnapshot(): Promise<void> {
    const place = this.#requestPlace();
    if (place === undefined) return;
    this.#place = place;
    try {
      if (await place.admitted) await this.#send('snapshot', this.#takeSnapshot());
    } finally {
      this.#place = undefined;
      place.leave();
    }
  }

  #requestPlace(): SnapshotPlace | undefined {
    try {
      return this.#parts.admission.request();
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      this.end(error);
      return undefined;
    }
  }

  /** @param messages each is made when its turn has come, and not before the one ahead of it has left. */
  async #send(kind: TurnKind, messages: Iterator<ToldMessage, void>): Promise<void> {
    while (await this.#parts.turns.do(kind, () => this.#sendNext(messages)));
  }

  /** @returns whether there may be another. */
  async #sendNext(messages: Iterator<ToldMessage, void>): Promise<boolean> {
    if (this.#isEnded) return false;
    const { done, value: message } = messages.next();
    if (done === true) return false;
    const { logId, revision } = message;
    this.#sent = { logId, revision };
    this.#newestSent = Math.max(this.#newestSent, revision);
    if (message.kind === 'snapshot_page') await this.#sendPage(message);
    else await this.#parts.transport.send(message);
    return true;
  }

  async #sendPage(page: ToldMessage): Promise<void> {
    const { clock, transport, admission } = this.#parts;
    const startedMs = clock.monotonicMs();
    const limit = clock.schedule(PAGE_LIMIT_MS, () => {
      this.end(tooSlow('a page of its snapshot'));
    });
    try {
      await transport.send(page);
    } finally {
      limit.cancel();
    }
    this.#snapshotWaitedMs += clock.monotonicMs() - startedMs;
    if (this.#snapshotWaitedMs > SNAPSHOT_LIMIT_MS && admission.waiting > 0) {
      this.end(tooSlow('its snapshot, for which others wait,'));
    }
  }

  #hasWork(): boolean {
    return (
      !this.#isEnded &&
      (this.#needsSnapshot ||
        this.#needsRevision ||
        this.#drainSpreadMs !== undefined ||
        this.#owesProofRequest ||
        this.#dirtyEntries.size > 0 ||
        this.#dirtyTrustDomains.size > 0)
    );
  }

  *#takeSnapshot(): Generator<ToldMessage, void, undefined> {
    this.#needsSnapshot = false;
    this.#needsRevision = false;
    this.#snapshotWaitedMs = 0;
    this.#dirtyEntries = new Set();
    this.#dirtyTrustDomains = new Set();
    const { followed, messages } = snapshotMessages(this.#parts);
    this.#followed = followed;
    yield* messages;
  }

  /** Everything that is to be told now; nothing if a snapshot will tell it. */
  *#takeChanges(): Generator<ToldMessage, void, undefined> {
    if (this.#needsSnapshot) return;
    const entryIds = this.#dirtyEntries;
    const trustDomains = this.#dirtyTrustDomains;
    this.#dirtyEntries = new Set();
    this.#dirtyTrustDomains = new Set();
    this.#needsRevision = false;
    const { agentId, graph } = this.#parts;
    if (trustDomains.size > 0) this.#followed = graph.trustDomainsOf(agentId);
    const followed = [...trustDomains].filter((trustDomain) => this.#followed.has(trustDomain));
    yield* changeMessages(this.#parts, { held: this.#sent, entryIds, trustDomains, followed });
  }
}

function tooSlow(what: string): BonafideError {
  return new BonafideError('unavailable', `the agent did not take ${what} within ${PAGE_LIMIT_MS / 1000} s`);
}
