/** bonafide.agent.v1.Explain on the admin socket. */
import type { Server } from '@grpc/grpc-js';
import { callContexts } from '@bonafide/shared/rpc/call-context';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { ProcessExplanations } from '../explain/explain-process.js';
import { listConnected } from '../explain/list-connected.js';
import { connectedToProto, explanationToProto } from './explanation-codec.js';
import { holdNamedProcess } from './named-process.js';
import type { Peer } from './peer.js';

export interface ExplainServiceOptions {
  readonly explanations: ProcessExplanations;
  /** Who is connected to the Workload API now. */
  readonly peers: () => Iterable<Peer>;
  readonly log: Logger;
}

export function addExplainService(server: Server, { explanations, log, peers }: ExplainServiceOptions): void {
  const contextOf = callContexts(log);
  const handlers: Handlers<'bonafide.agent.v1.Explain'> = {
    ExplainProcess: unaryHandler(contextOf, async ({ pid }, _call, context) =>
      explanationToProto(await explanations.explain(holdNamedProcess(pid), 'owner', context)),
    ),
    ListConnected: serverStreamHandler(contextOf, async (_request, call, context) => {
      for await (const connected of listConnected(peers(), explanations, context)) {
        await writeMessage(call, connectedToProto(connected), context.signal);
      }
    }),
  };
  server.addService(loadService('bonafide.agent.v1.Explain').definition, handlers);
}
