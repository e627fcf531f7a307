/** SyncAuthorizedEntries, by which SPIRE's agents keep up: revisions first, then the entries that they ask for. */
import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { entryToProto } from '@bonafide/shared/rpc/codec/entry';
import type { SyncAuthorizedEntriesRequest__Output } from '@bonafide/shared/rpc/gen/spire/api/server/entry/v1/SyncAuthorizedEntriesRequest';
import type { SyncAuthorizedEntriesResponse } from '@bonafide/shared/rpc/gen/spire/api/server/entry/v1/SyncAuthorizedEntriesResponse';
import { bidiHandler } from '@bonafide/shared/rpc/handler';
import { readMessages } from '@bonafide/shared/rpc/read-messages';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { callContext, callingAgent } from '../access/call-context.js';
import type { AgentRevisions } from '../delivery/agent-revisions.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';

export interface PolledRegistry {
  readonly graph: EntryGraph;
  /** Is told who was answered from which revision. */
  readonly receipts: Pick<AgentRevisions, 'polled'>;
}

const PAGE_SIZE = 500;

export function syncAuthorizedEntriesHandler(
  { graph, receipts }: PolledRegistry,
): handleBidiStreamingCall<SyncAuthorizedEntriesRequest__Output, SyncAuthorizedEntriesResponse> {
  return bidiHandler(callContext, async (call, context) => {
    const { agentId } = callingAgent(context);
    const entries = graph.authorizedEntries(agentId);
    const { revision } = graph;
    const send = (response: SyncAuthorizedEntriesResponse): Promise<void> =>
      writeMessage(call, response, context.signal);
    const requests = readMessages(call);
    const first = await requests.next();
    if (first.done === true) return;
    const { ids, outputMask } = first.value;
    if (ids.length > 0) throw invalidArgument('specifying IDs on initial request is not supported');
    if (outputMask !== null && !outputMask.revisionNumber) {
      throw invalidArgument('revision number cannot be masked');
    }
    receipts.polled(agentId, revision);
    const encode = (entry: RegistrationEntry): ReturnType<typeof entryToProto> =>
      entryToProto(entry, outputMask);

    if (entries.length <= PAGE_SIZE) {
      await send({ entries: entries.map(encode) });
      return;
    }
    for (const { items, isLast } of pagesOf(entries)) {
      await send({ entryRevisions: items.map(revisionOf), more: !isLast });
    }
    const byId = new Map(entries.map((entry) => [entry.id, entry]));
    for await (const request of requests) {
      const found = [...new Set(request.ids)].sort().flatMap((id) => byId.get(id) ?? []);
      for (const { items, isLast } of pagesOf(found)) {
        await send({ entries: items.map(encode), more: !isLast });
      }
    }
  });
}

function revisionOf({ id, revisionNumber, createdAt }: RegistrationEntry): {
  id: string;
  revisionNumber: number;
  createdAt: number;
} {
  return { id, revisionNumber, createdAt: unixSeconds(createdAt) };
}

/** At least one page, though it be empty: every question has an answer. */
function* pagesOf<T>(
  items: readonly T[],
): Generator<{ readonly items: readonly T[]; readonly isLast: boolean }> {
  for (let start = 0; start === 0 || start < items.length; start += PAGE_SIZE) {
    yield { items: items.slice(start, start + PAGE_SIZE), isLast: start + PAGE_SIZE >= items.length };
  }
}
