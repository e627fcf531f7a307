/** Waiting until every agent that a revision concerns holds it, whichever server it is in touch with. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { DeliveryExchange } from '../store/delivery-exchange.js';
import type { AgentDelivery } from './agent-delivery.js';
import type { AgentRevisions } from './agent-revisions.js';
import { AskedServers } from './asked-servers.js';
import type { ConcernedAgents } from './concerned-agents.js';
import { MergedDelivery } from './merged-delivery.js';
import { RevisionFollower } from './revision-follower.js';
import { WaitsOfRoles, type RoleWait } from './waits-of-roles.js';

export interface DeliveryWaitOptions {
  readonly agents: AgentRevisions;
  readonly concerned: ConcernedAgents;
  readonly serverId: string;
  /** Undefined where there is one server. */
  readonly exchange: DeliveryExchange | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface DeliveryWait {
  readonly revision: number;
  /** How long to wait at most; 0: not at all. */
  readonly timeoutMs: number;
  /** Of a scoped admin. */
  readonly member?: WaitingMember | undefined;
  /** Fires when nobody waits any more. */
  readonly signal: AbortSignal;
}

interface WaitingMember {
  /** Those that let it wait, at least one. */
  readonly roles: readonly string[];
  /** What other agents hold is neither told nor waited for. */
  readonly mayHearOf: (agentId: SpiffeId) => boolean;
}

interface DeliveryCounts {
  readonly concerned: number;
  readonly delivered: number;
}

export type DeliveryProgress =
  | ({ readonly kind: 'counts' } & DeliveryCounts)
  /** Each agent once. */
  | ({ readonly kind: 'final'; readonly agents: Iterable<AgentDelivery> } & DeliveryCounts);

const MAX_WAITS = 1_000;
const RETRY_AFTER_MS = 1_000;
/** So often at most is it looked whether there is something new to say. */
const LOOK_MS = 20;
/** So long are other servers given to answer, even when the time is up: what they did not say yet must not be taken for an absence. */
const GRACE_MS = 2_000;
/** What is left of a question's life when its asker has stopped waiting, for those that find it late. */
const QUESTION_RESERVE_MS = 10_000;

export class DeliveryWaits {
  readonly #options: DeliveryWaitOptions;
  readonly #ofRoles = new WaitsOfRoles();
  #waits = 0;

  constructor(options: DeliveryWaitOptions) {
    this.#options = options;
  }

  /**
   * Tells the counts whenever they have changed, and at last all there is to know.
   * @throws BonafideError `not_found` for a revision that is forgotten or did not come in time; `resource_exhausted` for too many waits.
   */
  async *wait({ timeoutMs, member, ...asked }: DeliveryWait): AsyncGenerator<DeliveryProgress, undefined> {
    if (this.#waits >= MAX_WAITS) {
      throw new BonafideError(
        'resource_exhausted',
        `${MAX_WAITS} deliveries are being waited for already; wait for fewer at a time`,
        { retryAfterMs: RETRY_AFTER_MS },
      );
    }
    const roleWait = member && this.#ofRoles.begin(member.roles);
    this.#waits += 1;
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const wait = { ...asked, mayHearOf: member?.mayHearOf, roleWait, deadlineMs };
    try {
      await this.#arrival(wait);
      yield* this.#followed(wait);
    } finally {
      this.#waits -= 1;
      roleWait?.end();
    }
    return undefined;
  }

  /** A revision that another server has just committed may not be here yet. */
  async #arrival({ revision, deadlineMs, signal }: TimedWait): Promise<void> {
    const { concerned, clock } = this.#options;
    const alarm = new Alarm(clock);
    const unsubscribe = concerned.onArrival(() => {
      alarm.ring();
    });
    try {
      while (concerned.isToCome(revision) && clock.monotonicMs() < deadlineMs && !signal.aborted) {
        await alarm.wait(inMs(clock, deadlineMs - clock.monotonicMs()), signal);
      }
    } finally {
      unsubscribe();
    }
  }

  async *#followed({
    revision,
    deadlineMs,
    mayHearOf,
    roleWait,
    signal,
  }: TimedWait): AsyncGenerator<DeliveryProgress, undefined> {
    const { agents, concerned, serverId, exchange, clock, log } = this.#options;
    const all = concerned.of(revision);
    const agentIds = mayHearOf === undefined ? all : new Set([...all].filter(mayHearOf));
    roleWait?.follow(agentIds.size);
    const merged = new MergedDelivery(agentIds);
    const alarm = new Alarm(clock);
    const onChange = (): void => {
      alarm.ring();
    };
    const follower = new RevisionFollower({ revision, agentIds, agents, serverId, clock, onChange });
    const look = (): void => {
      const changed = follower.take();
      merged.add(serverId, agents.startedAt, changed);
      for (const { agentId } of changed) if (!concerned.isReached(agentId)) merged.drop(agentId);
    };
    let asked: AskedServers | undefined;
    try {
      look();
      yield countsOf(merged);
      if (exchange !== undefined && !merged.isComplete) {
        const lifeMs = Math.max(deadlineMs - clock.monotonicMs(), 0) + QUESTION_RESERVE_MS;
        asked = new AskedServers({ exchange, revision, lifeMs, merged, onChange, clock, log });
      }
      let told = toldOf(merged);
      for (;;) {
        const leftMs = this.#leftMs(deadlineMs, asked);
        if (merged.isComplete || leftMs <= 0 || signal.aborted) break;
        await alarm.wait(inMs(clock, leftMs), signal);
        look();
        if (toldOf(merged) === told) continue;
        told = toldOf(merged);
        yield countsOf(merged);
        // A storm of acknowledgements is told of in few messages.
        await new Alarm(clock).wait(inMs(clock, Math.min(LOOK_MS, leftMs)), signal);
        look();
      }
      if (asked !== undefined && !merged.isComplete) {
        for (const gone of await asked.goneServers()) merged.forgetServer(gone);
      }
      yield { ...countsOf(merged), kind: 'final', agents: merged.agents() };
    } finally {
      follower.stop();
      await asked?.withdraw();
    }
    return undefined;
  }

  /** Past the deadline, other servers have a while to give their first answer. */
  #leftMs(deadlineMs: number, asked: AskedServers | undefined): number {
    const leftMs = deadlineMs - this.#options.clock.monotonicMs();
    return asked === undefined || asked.haveAnswered ? leftMs : leftMs + GRACE_MS;
  }
}

interface TimedWait extends Omit<DeliveryWait, 'timeoutMs' | 'member'> {
  /** Undefined: everybody. */
  readonly mayHearOf: WaitingMember['mayHearOf'] | undefined;
  readonly roleWait: RoleWait | undefined;
  readonly deadlineMs: number;
}

function toldOf({ concerned, delivered }: MergedDelivery): string {
  return `${delivered}/${concerned}`;
}

function countsOf(merged: MergedDelivery): { readonly kind: 'counts' } & DeliveryCounts {
  return { kind: 'counts', concerned: merged.concerned, delivered: merged.delivered };
}

function inMs(clock: Clock, ms: number): Date {
  return new Date(clock.now().getTime() + ms);
}
