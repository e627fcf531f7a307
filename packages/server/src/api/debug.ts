/** spire.api.server.debug.v1.Debug: a glance at the server from within. */
import { formatDistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { _spire_api_server_debug_v1_GetInfoResponse_Cert as Certificate } from '@bonafide/shared/rpc/gen/spire/api/server/debug/v1/GetInfoResponse';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext } from '../access/call-context.js';
import { anchorsOf } from '../authority/upstream/trust-anchor.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';

export interface DebugApiOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: Pick<EntryGraph, 'size' | 'bundle'>;
  /** The server's own certificates now, DER: leaf, then what leads from it to the bundle. */
  readonly serverChain: () => readonly Buffer[];
  readonly clock: Clock;
}

export function createDebugHandlers(options: DebugApiOptions): Handlers<'spire.api.server.debug.v1.Debug'> {
  const { trustDomain, graph, serverChain, clock } = options;
  const startedMs = clock.monotonicMs();
  return {
    GetInfo: unaryHandler(callContext, () => {
      const { entries, nodes, bundles } = graph.size;
      const chain = serverChain();
      const [anchor] = anchorsOf(chain, graph.bundle(trustDomain)?.x509Authorities ?? []);
      return Promise.resolve({
        // As in SPIRE with the authority of the bundle that the chain leads to.
        svidChain: [...chain, ...(anchor === undefined ? [] : [anchor.certificate])].map(describeCertificate),
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
