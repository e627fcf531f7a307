/** What each agent says it has applied, whether it is in touch with this server now, and since when it is not. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

/** In memory only, and only of agents that are attested: bounded by their number. */
interface HeardAgent {
  readonly appliedRevision: number;
  readonly link: Link;
}

type Link =
  | { readonly kind: 'stream' }
  /** It asks again and again, and acknowledges nothing. */
  | { readonly kind: 'polls'; readonly answeredRevision: number; readonly at: Date }
  | { readonly kind: 'none'; readonly since: Date };

export type AgentState =
  /** @param until when it counts as away unless it is heard of; absent while it has a stream. */
  | { readonly kind: 'connected'; readonly appliedRevision: number; readonly until?: Date }
  /** @param since undefined when it was not heard of since this server started. */
  | { readonly kind: 'away'; readonly appliedRevision: number; readonly since: Date | undefined };

export interface AgentRevisionsOptions {
  readonly clock: Clock;
  /** Of agents that are not, nothing is remembered. */
  readonly isAttested: (agentId: SpiffeId) => boolean;
  /** How many agents may be followed, each counted once for every follower. */
  readonly maxFollowed?: number;
}

/** SPIRE's agents ask every 5 seconds, and less often when that fails. */
const POLLER_IS_AWAY_AFTER_MS = 60_000;
const MAX_FOLLOWED = 1_000_000;
const RETRY_AFTER_MS = 5_000;

export class AgentRevisions {
  readonly startedAt: Date;
  readonly #options: AgentRevisionsOptions;
  readonly #heard = new Map<SpiffeId, HeardAgent>();
  readonly #followers = new Map<SpiffeId, Set<(agentId: SpiffeId) => void>>();
  #followed = 0;

  constructor(options: AgentRevisionsOptions) {
    this.#options = options;
    this.startedAt = options.clock.now();
  }

  /** @param revision what it holds already, by its cursor; 0 for nothing. */
  streamOpened(agentId: SpiffeId, revision: number): void {
    this.#hear(agentId, { appliedRevision: revision, link: { kind: 'stream' } });
  }

  streamClosed(agentId: SpiffeId): void {
    const heard = this.#heard.get(agentId);
    if (heard?.link.kind !== 'stream') return;
    this.#hear(agentId, { ...heard, link: { kind: 'none', since: this.#options.clock.now() } });
  }

  /** It has a stream and says that it applied the revision. */
  acknowledged(agentId: SpiffeId, revision: number): void {
    this.#hear(agentId, { appliedRevision: revision, link: { kind: 'stream' } });
  }

  /** It asked for all that it may hold and is being answered from this revision. Whether that arrived only its next question tells. */
  polled(agentId: SpiffeId, revision: number): void {
    const heard = this.#heard.get(agentId);
    if (heard?.link.kind === 'stream') return;
    const applied = heard?.link.kind === 'polls' ? heard.link.answeredRevision : 0;
    this.#hear(agentId, {
      appliedRevision: Math.max(heard?.appliedRevision ?? 0, applied),
      link: { kind: 'polls', answeredRevision: revision, at: this.#options.clock.now() },
    });
  }

  /** What it held says nothing any more: it came, went, was banned or pardoned. */
  forget(agentId: SpiffeId): void {
    this.#heard.delete(agentId);
    this.#tell(agentId);
  }

  get size(): number {
    return this.#heard.size;
  }

  stateOf(agentId: SpiffeId): AgentState {
    const heard = this.#heard.get(agentId);
    if (heard === undefined) return { kind: 'away', appliedRevision: 0, since: undefined };
    const { appliedRevision, link } = heard;
    switch (link.kind) {
      case 'stream':
        return { kind: 'connected', appliedRevision };
      case 'polls': {
        const until = new Date(link.at.getTime() + POLLER_IS_AWAY_AFTER_MS);
        return this.#options.clock.now() >= until
          ? { kind: 'away', appliedRevision, since: link.at }
          : { kind: 'connected', appliedRevision, until };
      }
      case 'none':
        return { kind: 'away', appliedRevision, since: link.since };
    }
  }

  /**
   * Calls whenever something is heard of one of the agents.
   * @returns what ends it for one of them, or for all.
   * @throws BonafideError `resource_exhausted` when too many agents are followed.
   */
  follow(agentIds: Iterable<SpiffeId>, listener: (agentId: SpiffeId) => void): Following {
    const followed = new Set(agentIds);
    if (this.#followed + followed.size > (this.#options.maxFollowed ?? MAX_FOLLOWED)) {
      throw new BonafideError(
        'resource_exhausted',
        'the delivery of too many changes is being waited for; wait for fewer at a time',
        { retryAfterMs: RETRY_AFTER_MS },
      );
    }
    this.#followed += followed.size;
    for (const agentId of followed) {
      const followers = this.#followers.get(agentId);
      if (followers === undefined) this.#followers.set(agentId, new Set([listener]));
      else followers.add(listener);
    }
    const leave = (agentId: SpiffeId): void => {
      if (!followed.delete(agentId)) return;
      this.#followed -= 1;
      const followers = this.#followers.get(agentId);
      followers?.delete(listener);
      if (followers?.size === 0) this.#followers.delete(agentId);
    };
    return {
      leave,
      leaveAll: () => {
        for (const agentId of followed) leave(agentId);
      },
    };
  }

  #hear(agentId: SpiffeId, heard: HeardAgent): void {
    if (!this.#options.isAttested(agentId)) return;
    this.#heard.set(agentId, heard);
    this.#tell(agentId);
  }

  #tell(agentId: SpiffeId): void {
    for (const listener of [...(this.#followers.get(agentId) ?? [])]) listener(agentId);
  }
}

export interface Following {
  leave(agentId: SpiffeId): void;
  leaveAll(): void;
}
