/** Whether agents hold an entry as it is now: what they have acknowledged, against the last revision that touched their way to it. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AgentRevisions, AgentState } from '../delivery/agent-revisions.js';
import type { ConcernedAgents } from '../delivery/concerned-agents.js';
import type { Change } from '../store/change.js';
import type { CommittedRevision, Store } from '../store/store.js';
import type { EntryWay } from './entry-way.js';

export type HeldState = 'holds' | 'not_yet' | 'away' | 'unknown';

export interface HeldEntry {
  readonly state: HeldState;
  /** Of one that is away; undefined when it was not heard of since the server started. */
  readonly since: Date | undefined;
}

export interface HeldEntryOptions {
  readonly store: Pick<Store, 'changesSince' | 'deliveries'>;
  readonly receipts: Pick<AgentRevisions, 'stateOf'>;
  readonly concerned: Pick<ConcernedAgents, 'of'>;
  readonly revision: number;
  readonly way: EntryWay;
}

const MOST_REVISIONS = 2_000;
/** Of those that touch the entry; for each of them its agents are worked out. */
const MOST_TOUCHES = 20;

/** @returns in the order of the agents. */
export async function heldEntry(
  agentIds: readonly SpiffeId[],
  { store, receipts, concerned, revision, way }: HeldEntryOptions,
): Promise<readonly HeldEntry[]> {
  const states = agentIds.map((agentId) => receipts.stateOf(agentId));
  const applied = states.map((state) => state.appliedRevision).filter((each) => each > 0 && each < revision);
  const from = Math.max(Math.min(...applied, revision), revision - MOST_REVISIONS);
  const changes = applied.length === 0 ? [] : await store.changesSince(from, MOST_REVISIONS);
  const touches = new Touches(changes, { concerned, way, from });
  return agentIds.map((agentId, index): HeldEntry => {
    const state = states[index] ?? receipts.stateOf(agentId);
    if (state.kind === 'away') {
      // It may be in touch with another server.
      const isUnknown = state.since === undefined && store.deliveries !== undefined;
      return { state: isUnknown ? 'unknown' : 'away', since: state.since };
    }
    return { state: connectedState(agentId, state, revision, touches), since: undefined };
  });
}

function connectedState(
  agentId: SpiffeId,
  { appliedRevision }: AgentState,
  revision: number,
  touches: Touches,
): HeldState {
  if (appliedRevision >= revision) return 'holds';
  if (appliedRevision === 0) return 'not_yet';
  const isTouched = touches.after(appliedRevision, agentId);
  if (isTouched === undefined) return 'unknown';
  return isTouched ? 'not_yet' : 'holds';
}

interface Touch {
  readonly revision: number;
  /** Undefined: that is forgotten. */
  readonly agents: ReadonlySet<SpiffeId> | undefined;
}

/** What happened lately to the entry, to its way to the agents, and to the agents themselves. */
class Touches {
  /** The newest first. */
  readonly #entry: readonly Touch[] = [];
  readonly #nodes = new Map<SpiffeId, number>();
  /** Of what was up to here nothing is known. */
  readonly #since: number;

  constructor(
    changes: readonly CommittedRevision[] | undefined,
    options: Pick<HeldEntryOptions, 'concerned' | 'way'> & { readonly from: number },
  ) {
    const { concerned, from, way } = options;
    const touching = (changes ?? []).filter((committed) =>
      committed.changes.some((change) => way.isOn(change)),
    );
    const left = touching.length - MOST_TOUCHES;
    this.#entry = touching
      .slice(-MOST_TOUCHES)
      .reverse()
      .map(({ revision }) => ({ revision, agents: agentsOf(revision, concerned) }));
    this.#since = changes === undefined ? Infinity : Math.max(from, touching[left - 1]?.revision ?? 0);
    for (const { revision, changes: made } of changes ?? []) {
      for (const change of made) {
        if (change.kind === 'node' && isOfReach(change)) this.#nodes.set(change.agentId, revision);
      }
    }
  }

  /** Undefined when it is not known. */
  after(revision: number, agentId: SpiffeId): boolean | undefined {
    if ((this.#nodes.get(agentId) ?? 0) > revision) return true;
    let isCertain = revision >= this.#since;
    for (const touch of this.#entry) {
      if (touch.revision <= revision) break;
      if (touch.agents?.has(agentId) === true) return true;
      if (touch.agents === undefined) isCertain = false;
    }
    return isCertain ? false : undefined;
  }
}

function agentsOf(
  revision: number,
  concerned: Pick<ConcernedAgents, 'of'>,
): ReadonlySet<SpiffeId> | undefined {
  try {
    return concerned.of(revision);
  } catch (error) {
    if (hasReason(error, 'not_found')) return undefined;
    throw error;
  }
}

function isOfReach({ effect }: Extract<Change, { kind: 'node' }>): boolean {
  return effect !== 'renewed';
}
