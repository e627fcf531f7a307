/** bonafide.agent.v1.Survival on the admin socket. */
import type { Server } from '@grpc/grpc-js';
import { callContexts } from '@bonafide/shared/rpc/call-context';
import type { ReportResponse } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/ReportResponse';
import { serverStreamHandler } from '@bonafide/shared/rpc/handler';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AgentSurvival, NodeSurvival } from '../survival/node-survival.js';
import type { StopCause, WorkloadSurvival } from '../survival/survival.js';

const CAUSES = {
  no_svid: 'NO_SVID',
  svid_expires: 'SVID_EXPIRES',
  bundle_expires: 'BUNDLE_EXPIRES',
  token_expires: 'TOKEN_EXPIRES',
} as const satisfies Record<StopCause, string>;

export function addSurvivalService(
  server: Server,
  { survival, log }: { readonly survival: NodeSurvival; readonly log: Logger },
): void {
  const handlers: Handlers<'bonafide.agent.v1.Survival'> = {
    Report: serverStreamHandler(callContexts(log), async (_request, call, { signal }) => {
      await writeMessage(call, { agent: agentToProto(survival.agent()) }, signal);
      for (const workload of survival.workloads()) {
        await writeMessage(call, { workload: workloadToProto(workload) }, signal);
      }
    }),
  };
  server.addService(loadService('bonafide.agent.v1.Survival').definition, handlers);
}

function agentToProto(agent: AgentSurvival): NonNullable<ReportResponse['agent']> {
  return {
    agentId: agent.agentId ?? '',
    svidExpiresAt: secondsOf(agent.svidExpiresAt),
    canAttest: agent.canAttest,
    isConnected: agent.isConnected,
    lastSyncAt: secondsOf(agent.lastSyncAt),
    serverAddress: agent.serverAddress,
    availabilityTarget: agent.targetSeconds ?? 0,
    now: unixSeconds(agent.now),
  };
}

function workloadToProto(workload: WorkloadSurvival): NonNullable<ReportResponse['workload']> {
  return {
    entryId: workload.entryId,
    spiffeId: workload.spiffeId,
    x509SvidExpiresAt: secondsOf(workload.svidExpiresAt),
    bundleExpiresAt: secondsOf(workload.bundleExpiresAt),
    tokenExpiresAt: secondsOf(workload.tokenExpiresAt),
    isInUse: workload.isInUse,
    meetsTarget: workload.meetsTarget,
    stopsAt: secondsOf(workload.stopsAt),
    cause: CAUSES[workload.cause],
  };
}

function secondsOf(date: Date | undefined): number {
  return date === undefined ? 0 : unixSeconds(date);
}
