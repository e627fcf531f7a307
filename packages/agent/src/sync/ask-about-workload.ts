/** Asks the server about a workload that this agent cannot account for: bonafide.entry.v1.WorkloadExplanation. */
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { countFromProto, dateFromProto } from '@bonafide/shared/rpc/codec/field';
import { selectorsToProto } from '@bonafide/shared/rpc/codec/selector';
import type { WithheldEntry__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/WithheldEntry';
import type { ServerChannels } from '../agent-identity/server-connection.js';
import type { ServerWitness, ServerWord, WithheldEntry } from '../explain/explanation.js';
import { isOpen } from '../workload-attestation/shown-selectors.js';

interface AskingOptions {
  readonly connection: Pick<ServerChannels, 'channel'>;
  readonly sync: { readonly isConnected: boolean };
}

const LIMIT_MS = 5_000;
const MOST_ASKED_AT_ONCE = 4;
/** The server's limits. */
const MOST_SELECTORS = 1_000;
const MOST_HELD = 1_000;

const NOTHING = { entries: [], hasMore: false, revision: 0, acknowledgedRevision: 0 } as const;

export function createServerWitness({ connection, sync }: AskingOptions): ServerWitness {
  let asked = 0;
  return {
    async ask({ heldEntryIds, selectors, signal }) {
      // A value that may be a secret stays on the node, whatever the server would make of it.
      const shown = selectors.filter(isOpen);
      const isWithoutSecrets = shown.length < selectors.length;
      const silent = (problem: string): ServerWord => ({ ...NOTHING, problem, isWithoutSecrets });
      if (!sync.isConnected) return silent('the agent is not connected to it');
      if (asked >= MOST_ASKED_AT_ONCE) return silent('the agent is asking it about other processes just now');
      asked += 1;
      try {
        // Not through `callServer`: what fails here is of no consequence for the agent.
        const answer = await callUnary(
          connection.channel().client('bonafide.entry.v1.WorkloadExplanation'),
          'ExplainWorkload',
          {
            selectors: selectorsToProto(shown.slice(0, MOST_SELECTORS)),
            heldEntryIds: heldEntryIds.slice(0, MOST_HELD),
          },
          { deadlineMs: LIMIT_MS, signal },
        );
        return {
          problem: undefined,
          entries: answer.entries.map(withheldEntry),
          hasMore: answer.hasMore,
          revision: countFromProto('revision', answer.revision),
          acknowledgedRevision: countFromProto('acknowledged_revision', answer.acknowledgedRevision),
          isWithoutSecrets,
        };
      } catch (error) {
        return silent(
          hasReason(error, 'unimplemented')
            ? 'it cannot tell: it has no WorkloadExplanation service, as a SPIRE server has none'
            : errorMessage(error),
        );
      } finally {
        asked -= 1;
      }
    },
  };
}

function withheldEntry({
  entryId,
  expiresAt,
  parentId,
  reason,
  spiffeId,
}: WithheldEntry__Output): WithheldEntry {
  return {
    entryId,
    reason,
    spiffeId: spiffeId === '' ? undefined : spiffeId,
    parentId: parentId === '' ? undefined : parentId,
    expiresAt: dateFromProto('expires_at', expiresAt),
  };
}
