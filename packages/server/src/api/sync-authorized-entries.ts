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
import type { AgentPolls } from './request/agent-polls.js';
import type { FirstMessages } from './request/first-messages.js';

export interface PolledRegistry {
  readonly graph: EntryGraph;
  /** Is told who was answered from which revision. */
  readonly receipts: Pick<AgentRevisions, 'polled'>;
  readonly firstMessages: FirstMessages;
  readonly polls: AgentPolls;
}

const PAGE_SIZE = 500;
/** Of one request; SPIRE's agents ask for a page at a time. */
const MAX_IDS = 10_000;

export function syncAuthorizedEntriesHandler({
  graph,
  receipts,
  firstMessages,
  polls,
}: PolledRegistry): handleBidiStreamingCall<
  SyncAuthorizedEntriesRequest__Output,
  SyncAuthorizedEntriesResponse
> {
  return bidiHandler(callContext, async (call, context) => {
    const { agentId } = callingAgent(context);
    const send = (response: SyncAuthorizedEntriesResponse): Promise<void> =>
      writeMessage(call, response, context.signal);
    polls.begin(agentId, context.signal);
    const requests = readMessages(call);
    const first = await firstMessages.of(agentId, requests);
    if (first === undefined) return;
    const { ids, outputMask } = first;
    if (ids.length > 0) throw invalidArgument('specifying IDs on initial request is not supported');
    if (outputMask !== null && !outputMask.revisionNumber) {
      throw invalidArgument('revision number cannot be masked');
    }
    const encode = (entry: RegistrationEntry): ReturnType<typeof entryToProto> =>
      entryToProto(entry, outputMask);

    const entries = graph.authorizedEntries(agentId);
    receipts.polled(agentId, graph.revision);
    if (entries.length <= PAGE_SIZE) {
      await send({ entries: await polls.encode(entries, encode) });
      return;
    }
    const known = new Set<string>();
    for (const { items, isLast } of pagesOf(entries)) {
      for (const { id } of items) known.add(id);
      await send({ entryRevisions: items.map(revisionOf), more: !isLast });
    }
    for await (const request of requests) {
      if (request.ids.length > MAX_IDS) {
        throw invalidArgument(`${request.ids.length} IDs; expected at most ${MAX_IDS} in one request`);
      }
      const wanted = [...new Set(request.ids)].filter((id) => known.has(id)).sort();
      for (const { items, isLast } of pagesOf(wanted)) {
        // As it is now: what expired or was taken from the agent meanwhile is left out.
        const found = items.flatMap((id) => graph.authorizedEntry(agentId, id) ?? []);
        await send({ entries: await polls.encode(found, encode), more: !isLast });
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
