/** Has the nodes that are connected here prove themselves anew, each in its time, and finds those that do not. */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { mayHold } from '../entry-graph/apply-change.js';
import type { ContinuousProof, NodeAttestor } from '../node-attestation/node-attestor.js';
import type { AttestedNode } from '../store/node-record.js';
import type { CommittedRevision, Store } from '../store/store.js';
import type { LastProven } from './last-proven.js';
import type { NodeNotices } from './node-notices.js';
import { mayBeCalledUnproven, nextProofMs, patienceMs, PatientTime } from './proof-patience.js';

export interface ProofScheduleOptions {
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  /** Where agents listen. */
  readonly streams: { openAgents(): Iterable<SpiffeId>; askForProof(agentId: SpiffeId): boolean };
  readonly nodes: { node(agentId: SpiffeId): AttestedNode | undefined };
  readonly store: Store;
  readonly lastProven: LastProven;
  /** @returns whether it went into quarantine. */
  readonly quarantine: (agentId: SpiffeId, deadlineSeconds: number) => Promise<boolean>;
  readonly notices: Pick<NodeNotices, 'overdue'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** Times by the patient clock. */
interface WatchedNode {
  readonly seenMs: number;
  /** When it is to be looked at. */
  dueMs: number;
  /** Since when it owes an answer. */
  askedMs: number | undefined;
}

const LOOK_MS = 5_000;
/** While there are more to be asked than a turn allows. */
const BUSY_LOOK_MS = 1_000;
/** A proof from so far in the future says only that a clock was set. */
const SKEW_MS = 60_000;
const ASKED_A_SECOND = 100;
const ASK_AGAIN_MS = 30_000;
/** An agent that does not listen is connected for so long after each call; longer than who comes back may take to answer. */
const CALL_COUNTS_MS = 120_000;
/** Of the nodes here, and a few in any case: more at a time are rather our own fault than theirs. */
const UNPROVEN_SHARE_A_MINUTE = 0.01;
const FEW_UNPROVEN_A_MINUTE = 5;

export class ProofSchedule {
  readonly #options: ProofScheduleOptions;
  readonly #time: PatientTime;
  readonly #watched = new Map<SpiffeId, WatchedNode>();
  readonly #called = new Map<SpiffeId, number>();
  /** At the last look. */
  #present: ReadonlySet<SpiffeId> = new Set();
  readonly #quarantinedMs: number[] = [];
  readonly #random: () => number;

  constructor(options: ProofScheduleOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#time = new PatientTime(options.clock);
  }

  /** Returns when the signal fires; at once when no node can be proven again. */
  async run(signal: AbortSignal): Promise<void> {
    const { attestors, store, clock, log } = this.#options;
    if (![...attestors.values()].some(({ continuous }) => continuous !== undefined)) return;
    const unsubscribe = store.subscribe((committed) => {
      this.#follow(committed);
    });
    let pauseMs = LOOK_MS;
    try {
      for (;;) {
        await sleep(clock, pauseMs, signal).catch(() => undefined); // only the signal ends it
        this.#time.passed(pauseMs, store.connection.state.kind === 'connected');
        if (signal.aborted) return;
        try {
          pauseMs = (await this.#look(pauseMs)) ? BUSY_LOOK_MS : LOOK_MS;
        } catch (error) {
          pauseMs = LOOK_MS;
          log.warn({ problem: errorMessage(error) }, 'cannot see which nodes are to prove themselves');
        }
      }
    } finally {
      unsubscribe();
    }
  }

  /** It has, here. */
  proven(agentId: SpiffeId): void {
    const watched = this.#watched.get(agentId);
    const interval = this.#continuousOf(agentId)?.intervalSeconds;
    if (watched === undefined) return;
    watched.askedMs = undefined;
    watched.dueMs = this.#time.nowMs + nextProofMs(interval, this.#random());
  }

  /** An agent that may not be listening made a call, whatever for: it cannot be asked, but must prove itself all the same. */
  called(agentId: SpiffeId): void {
    if (this.#continuousOf(agentId) !== undefined) this.#called.set(agentId, this.#time.nowMs);
  }

  /** An operator's request, at any server, is passed on by the one that holds the stream; who was reset begins anew. */
  #follow({ changes }: CommittedRevision): void {
    for (const change of changes) {
      if (change.kind === 'node_proof') this.#options.streams.askForProof(change.agentId);
      if (change.kind === 'node' && change.effect === 'reset') this.#watched.delete(change.agentId);
    }
  }

  /** @returns whether there are more to be asked. */
  async #look(passedMs: number): Promise<boolean> {
    const nowMs = this.#time.nowMs;
    const present = this.#lookAround(nowMs);
    const due = [...present].filter((agentId) => (this.#watched.get(agentId)?.dueMs ?? 0) <= nowMs);
    const turn = due
      .sort((a, b) => this.#dueOf(a) - this.#dueOf(b))
      .slice(0, Math.max(1, Math.round((ASKED_A_SECOND * passedMs) / 1000)));
    const rows = await this.#options.store.nodeProofs.getMany(turn);
    const noted = new Map(rows.map((row) => [row.agentId, row]));
    const overdue: SpiffeId[] = [];
    for (const agentId of turn) {
      const row = noted.get(agentId);
      const provenAt = this.#options.lastProven.of(agentId) ?? row?.provenAt;
      if (this.#see(agentId, provenAt, row?.requestedAt !== undefined)) overdue.push(agentId);
    }
    await this.#quarantine(overdue, present.size);
    return due.length > turn.length;
  }

  /** Those that are connected and can be proven; who is gone and owes nothing is forgotten. */
  #lookAround(nowMs: number): ReadonlySet<SpiffeId> {
    const present = new Set<SpiffeId>();
    for (const [agentId, atMs] of this.#called) {
      if (nowMs - atMs > CALL_COUNTS_MS) this.#called.delete(agentId);
      else present.add(agentId);
    }
    for (const agentId of this.#options.streams.openAgents()) present.add(agentId);
    for (const agentId of present) {
      const continuous = this.#continuousOf(agentId);
      if (continuous === undefined) present.delete(agentId);
      else this.#meet(agentId, nowMs, continuous);
    }
    for (const [agentId, { askedMs }] of this.#watched) {
      const isGone = this.#options.nodes.node(agentId) === undefined;
      // One that owes an answer does not get more time by leaving and coming back.
      if (isGone || (askedMs === undefined && !present.has(agentId))) this.#watched.delete(agentId);
    }
    this.#present = present;
    return present;
  }

  /** One that could not answer while it was away has half of its patience to do so now: leaving is not worth it, and no crime either. */
  #meet(agentId: SpiffeId, nowMs: number, { deadlineSeconds }: ContinuousProof): void {
    const watched = this.#watched.get(agentId);
    if (watched === undefined) {
      this.#watched.set(agentId, { seenMs: nowMs, dueMs: nowMs, askedMs: undefined });
    } else if (watched.askedMs !== undefined && !this.#present.has(agentId)) {
      watched.askedMs = Math.max(watched.askedMs, nowMs - patienceMs(deadlineSeconds) / 2);
    }
  }

  /** Asks it when it is time. @returns whether it has been too long without an answer. */
  #see(agentId: SpiffeId, provenAt: Date | undefined, isRequested: boolean): boolean {
    const watched = this.#watched.get(agentId);
    const continuous = this.#continuousOf(agentId);
    if (watched === undefined || continuous === undefined) return false;
    const { intervalSeconds, deadlineSeconds } = continuous;
    const nowMs = this.#time.nowMs;
    const passedMs =
      provenAt === undefined ? undefined : this.#options.clock.now().getTime() - provenAt.getTime();
    const isKnown = passedMs !== undefined && passedMs >= -SKEW_MS;
    const ageMs = isKnown ? passedMs : nowMs - watched.seenMs;
    const leftMs = nextProofMs(intervalSeconds, this.#random()) - ageMs;
    if (!isRequested && isKnown && leftMs > 0) {
      watched.askedMs = undefined;
      watched.dueMs = nowMs + leftMs;
      return false;
    }
    if (!isRequested && intervalSeconds === undefined) {
      watched.dueMs = nowMs + nextProofMs(undefined, 1);
      return false;
    }
    this.#options.streams.askForProof(agentId);
    watched.askedMs ??= nowMs;
    watched.dueMs = nowMs + ASK_AGAIN_MS;
    return (
      intervalSeconds !== undefined &&
      mayBeCalledUnproven({ ageMs, waitedMs: nowMs - watched.askedMs, deadlineSeconds })
    );
  }

  async #quarantine(overdue: readonly SpiffeId[], connected: number): Promise<void> {
    const { notices, quarantine, log } = this.#options;
    const nowMs = this.#time.nowMs;
    notices.overdue(overdue.length);
    while (this.#quarantinedMs[0] !== undefined && nowMs - this.#quarantinedMs[0] > 60_000) {
      this.#quarantinedMs.shift();
    }
    const most = Math.max(FEW_UNPROVEN_A_MINUTE, Math.floor(connected * UNPROVEN_SHARE_A_MINUTE));
    const allowed = Math.max(0, most - this.#quarantinedMs.length);
    for (const agentId of overdue.slice(0, allowed)) {
      const deadline = this.#continuousOf(agentId)?.deadlineSeconds;
      if (deadline !== undefined && (await quarantine(agentId, deadline))) this.#quarantinedMs.push(nowMs);
    }
    if (overdue.length > allowed) {
      log.error(
        { overdue: overdue.length, quarantined: allowed, connected },
        'many nodes do not prove themselves; they go into quarantine little by little',
      );
    }
  }

  #dueOf(agentId: SpiffeId): number {
    return this.#watched.get(agentId)?.dueMs ?? 0;
  }

  #continuousOf(agentId: SpiffeId): ContinuousProof | undefined {
    const node = this.#options.nodes.node(agentId);
    if (node === undefined || !mayHold(node)) return undefined;
    return this.#options.attestors.get(node.attestationType)?.continuous;
  }
}
