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
import type { FirstMessages } from './request/first-messages.js';
import type { OpenWatch } from '../sync/watch-opening.js';
import type { WatchStreams } from '../sync/watch-streams.js';

export interface SyncApiOptions {
  readonly watchStreams: WatchStreams;
  readonly agents: AttestedAgents;
  readonly firstMessages: FirstMessages;
}

export function createSyncHandlers({
  watchStreams,
  agents,
  firstMessages,
}: SyncApiOptions): Handlers<'bonafide.sync.v1.Sync'> {
  return {
    Watch: bidiHandler(callContext, async (call, context) => {
      const { agentId, serialNumber, expiresAt } = callingAgent(context);
      const { signal } = context;
      const requests = decoded(readMessages(call));
      const hello = await firstMessages.of(agentId, requests);
      if (hello?.kind !== 'hello') {
        throw invalidArgument('the first message of a watch stream must be hello');
      }
      if (hello.agentVersion !== '') {
        // Nothing waits for it: the stream needs no database, and a thousand agents may come at once.
        agents.recordVersion(agentId, hello.agentVersion).catch((error: unknown) => {
          context.log.warn({ err: error }, 'cannot record the version of the agent');
        });
      }

      let end: (error: BonafideError) => void = () => undefined;
      const ended = new Promise<never>((_, reject) => {
        end = reject;
      });
      ended.catch(() => undefined); // it may end before anybody waits for that
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
      } catch (error) {
        context.endSoon();
        throw error;
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
