/** bonafide.agent.v1.SelfExplain on the socket of the Workload API: a process asks about itself. */
import type { Server } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import { CallerQuota } from '../endpoints/caller-quota.js';
import { explanationToProto } from '../endpoints/explanation-codec.js';
import type { Audience, ProcessExplanations } from '../explain/explain-process.js';
import type { WorkloadCalls } from './workload-calls.js';

export interface SelfExplainOptions {
  readonly explanations: Pick<ProcessExplanations, 'explain'>;
  /** How much a process is told about itself: as much as the owner of the agent, or what it could find out by itself. */
  readonly audience: Audience;
}

export function addSelfExplainService(
  server: Server,
  calls: WorkloadCalls,
  options: SelfExplainOptions,
): void {
  // Each looks through all entries and may ask the server: no user needs several at once.
  const underWay = new CallerQuota(1);
  const handlers: Handlers<'bonafide.agent.v1.SelfExplain'> = {
    ExplainCaller: calls.examined(async (_request, peer, call) => {
      const { uid } = peer.credentials;
      const leave = underWay.enter(uid);
      if (leave === undefined) {
        const text = `user ${uid} is being told of a process already; ask again when that is done`;
        throw new BonafideError('resource_exhausted', text);
      }
      try {
        return explanationToProto(
          await options.explanations.explain(peer.holdProcess(), options.audience, call),
        );
      } finally {
        leave();
      }
    }),
  };
  server.addService(loadService('bonafide.agent.v1.SelfExplain').definition, handlers);
}
