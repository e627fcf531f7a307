/** bonafide.entry.v1.WorkloadExplanation: an agent asks what is known of a workload that it cannot account for. */
import { listFromProto, textFromProto } from '@bonafide/shared/rpc/codec/field';
import { selectorsFromProto } from '@bonafide/shared/rpc/codec/selector';
import type {
  WithheldEntry as WithheldEntryProto,
  _bonafide_entry_v1_WithheldEntry_Reason__Output as Reason,
} from '@bonafide/shared/rpc/gen/bonafide/entry/v1/WithheldEntry';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { callContext, callingAgent } from '../access/call-context.js';
import type { RateLimits } from '../access/rate-limits.js';
import type { Standing } from '../entry-graph/standing.js';
import type { WithheldEntry, WorkloadExplanations } from '../workload-explanation/workload-explanations.js';

const MOST_HELD = 1_000;
const LONGEST_ID_BYTES = 255;

const REASONS = {
  authorized: 'NOT_DELIVERED',
  expired: 'EXPIRED',
  parent_expired: 'PARENT_EXPIRED',
  other_parent: 'OTHER_PARENT',
  unknown_parent: 'UNKNOWN_PARENT',
  node_alias: 'NODE_ALIAS',
  stores_svid: 'STORES_SVID',
} as const satisfies Record<Standing, Reason>;

export interface WorkloadExplanationApiOptions {
  readonly explanations: WorkloadExplanations;
  readonly rateLimits: RateLimits;
}

export function createWorkloadExplanationHandlers({
  explanations,
  rateLimits,
}: WorkloadExplanationApiOptions): Handlers<'bonafide.entry.v1.WorkloadExplanation'> {
  return {
    ExplainWorkload: unaryHandler(callContext, async (request, _call, context) => {
      const { signal } = context;
      const { agentId } = callingAgent(context);
      const selectors = selectorsFromProto(request.selectors);
      const held = listFromProto('held_entry_ids', request.heldEntryIds, MOST_HELD, (id) =>
        textFromProto('id', id, LONGEST_ID_BYTES),
      );
      await rateLimits.take('status', context.peer, 1, signal);
      const account = await explanations.account({
        agentId,
        selectors,
        heldEntryIds: new Set(held),
        signal,
      });
      return { ...account, entries: account.entries.map(entryToProto) };
    }),
  };
}

function entryToProto({ entryId, expiresAt, names, standing }: WithheldEntry): WithheldEntryProto {
  return {
    entryId,
    reason: REASONS[standing],
    ...names,
    expiresAt: expiresAt === undefined ? 0 : unixSeconds(expiresAt),
  };
}
