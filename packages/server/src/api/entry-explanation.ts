/** bonafide.entry.v1.EntryExplanation: operators ask whom an entry reaches, and what stands in its way. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { entryIdFromProto, entryToProto } from '@bonafide/shared/rpc/codec/entry';
import { inField } from '@bonafide/shared/rpc/codec/field';
import { selectorsToProto } from '@bonafide/shared/rpc/codec/selector';
import type { EntryParent as EntryParentProto } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryParent';
import type { ExplainedEntry } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/ExplainedEntry';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { callContext } from '../access/call-context.js';
import type { EntryExplanation, EntryExplanations } from '../entry-explanation/entry-explanations.js';
import type { EntryParent } from '../entry-explanation/entry-parent.js';

const STATES = {
  holds: 'HOLDS',
  not_yet: 'NOT_YET',
  away: 'AWAY',
  unknown: 'UNKNOWN',
  withheld: 'WITHHELD',
} as const;
const KINDS = { duplicate: 'DUPLICATE', also_gives: 'ALSO_GIVES', same_hint: 'SAME_HINT' } as const;

export function createEntryExplanationHandlers(
  explanations: EntryExplanations,
  clock: Clock,
): Handlers<'bonafide.entry.v1.EntryExplanation'> {
  return {
    ExplainEntry: unaryHandler(callContext, async ({ entryId, spiffeId }, _call, { scope }) => {
      if ((entryId === '') === (spiffeId === '')) {
        throw invalidArgument('entry_id or spiffe_id: one of them is needed, and not both');
      }
      const found =
        entryId === ''
          ? await explanations.ofSpiffeId(
              inField('spiffe_id', () => parseSpiffeId(spiffeId)),
              scope,
            )
          : {
              explanations: [await explanations.ofEntry(entryIdFromProto(entryId, 'entry_id'), scope)],
              total: 1,
            };
      const now = clock.now();
      return {
        entries: found.explanations.map((explanation) => explanationToProto(explanation, now)),
        total: found.total,
      };
    }),
  };
}

function explanationToProto(explanation: EntryExplanation, now: Date): ExplainedEntry {
  const { entry, isAlias, isExpired, parent, agentCount, agents, selectors, missingBundles, related } =
    explanation;
  return {
    entry: entryToProto(entry),
    isNodeAlias: isAlias,
    isExpired,
    parent: parentToProto(parent, now),
    agentCount,
    agents: agents.map(({ agentId, state, since }) => ({
      agentId,
      state: STATES[state],
      since: since === undefined ? 0 : unixSeconds(since),
    })),
    selectors: selectors.map(({ selector, nodes, sighting }) => ({
      selector,
      nodes,
      lastSeen: sighting === undefined ? 0 : unixSeconds(sighting.seenAt),
      agentId: sighting?.agentId ?? '',
    })),
    missingBundles: [...missingBundles],
    related: related.map(({ kind, entry: other, servedEntryId = '', agentId }) => ({
      kind: KINDS[kind],
      entryId: other.id,
      spiffeId: other.spiffeId,
      selectors: selectorsToProto(other.selectors),
      hint: other.hint ?? '',
      servedEntryId,
      agentId,
    })),
  };
}

function parentToProto({ node, entries }: EntryParent, now: Date): EntryParentProto {
  return {
    agent:
      node === undefined
        ? null
        : {
            isBanned: node.isBanned,
            isQuarantined: node.quarantine !== undefined,
            expiresAt: unixSeconds(node.expiresAt),
            isExpired: node.expiresAt <= now,
          },
    entries: entries.map(({ entry, isAlias, isExpired, agents, near }) => ({
      entryId: entry.id,
      isNodeAlias: isAlias,
      isExpired,
      agents,
      near: near.map(({ agentId, missing }) => ({ agentId, missing: selectorsToProto(missing) })),
      parentId: entry.parentId,
    })),
  };
}
