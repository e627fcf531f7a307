/** spire.api.server.debug.v1.Debug: a glance at the server from within. */
import { formatDistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { _spire_api_server_debug_v1_GetInfoResponse_Cert as Certificate } from '@bonafide/shared/rpc/gen/spire/api/server/debug/v1/GetInfoResponse';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { callContext } from '../access/call-context.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';

export interface DebugApiOptions {
  readonly graph: EntryGraph;
  /** The server's own certificates now, DER: leaf, intermediates, then the authority that the chain leads to. */
  readonly serverChain: () => readonly Buffer[];
  readonly clock: Clock;
}

export function createDebugHandlers(options: DebugApiOptions): Handlers<'spire.api.server.debug.v1.Debug'> {
  const { graph, serverChain, clock } = options;
  const startedMs = clock.monotonicMs();
  return {
    GetInfo: unaryHandler(callContext, () => {
      const { entries, nodes, bundles } = graph.size;
      return Promise.resolve({
        svidChain: serverChain().map(describeCertificate),
        uptime: Math.floor((clock.monotonicMs() - startedMs) / 1000),
        agentsCount: nodes,
        entriesCount: entries,
        federatedBundlesCount: bundles, // ours among them, as SPIRE counts
      });
    }),
  };
}

function describeCertificate(der: Buffer): Certificate {
  const { spiffeId, notAfter, subject } = parseX509Certificate(der);
  return {
    id: spiffeId === undefined ? null : spiffeIdToProto(spiffeId),
    expiresAt: unixSeconds(notAfter),
    subject: formatDistinguishedName(subject),
  };
}
