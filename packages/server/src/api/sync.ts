/** bonafide.sync.v1.Sync: the stream over which an agent holds exactly what it is entitled to. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { watchRequestFromProto, watchResponseToProto } from '@bonafide/shared/rpc/codec/watch-message';
import { bidiHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { readMessages } from '@bonafide/shared/rpc/read-messages';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import type { WatchRequest } from '@bonafide/shared/sync/watch-message';
import { callContext, callingAgent } from '../access/call-context.js';
import type { AttestedAgents } from '../node-attestation/attested-agents.js';
import type { OpenWatch, WatchStreams } from '../sync/watch-streams.js';

export interface SyncApiOptions {
  readonly watchStreams: WatchStreams;
  readonly agents: AttestedAgents;
}

export function createSyncHandlers({
  watchStreams,
  agents,
}: SyncApiOptions): Handlers<'bonafide.sync.v1.Sync'> {
  return {
    Watch: bidiHandler(callContext, async (call, context) => {
      const { agentId, serialNumber, expiresAt } = callingAgent(context);
      const { signal } = context;
      const requests = decoded(readMessages(call));
      const first = await requests.next();
      if (first.done === true || first.value.kind !== 'hello') {
        throw invalidArgument('the first message of a watch stream must be hello');
      }
      const hello = first.value;
      if (hello.agentVersion !== '') await agents.recordVersion(agentId, hello.agentVersion);

      let end: (error: BonafideError) => void = () => undefined;
      const ended = new Promise<never>((_, reject) => {
        end = reject;
      });
      const watch = watchStreams.open({
        agentId,
        serialNumber,
        expiresAt,
        hello,
        transport: {
          send: (message) => writeMessage(call, watchResponseToProto(message), signal),
          end,
        },
      });
      try {
        await Promise.race([ended, followAcknowledgements(requests, watch)]);
      } finally {
        watch.close();
      }
    }),
  };
}

async function* decoded(
  requests: AsyncIterable<Parameters<typeof watchRequestFromProto>[0]>,
): AsyncGenerator<WatchRequest, undefined> {
  for await (const request of requests) yield watchRequestFromProto(request);
  return undefined;
}

/** Returns when the agent ends the stream. */
async function followAcknowledgements(
  requests: AsyncIterable<WatchRequest>,
  watch: OpenWatch,
): Promise<void> {
  for await (const request of requests) {
    if (request.kind === 'hello')
      throw new BonafideError('invalid_argument', 'a watch stream says hello once');
    watch.acknowledge(request.revision);
  }
}
