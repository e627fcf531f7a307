/** spire.api.server.debug.v1.Debug: a glance at the server from within. */
import { describeChain } from '@bonafide/shared/rpc/codec/described-certificate';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext } from '../access/call-context.js';
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
      return Promise.resolve({
        svidChain: describeChain(serverChain(), graph.bundle(trustDomain)?.x509Authorities ?? []),
        uptime: Math.floor((clock.monotonicMs() - startedMs) / 1000),
        agentsCount: nodes,
        entriesCount: entries,
        federatedBundlesCount: bundles, // ours among them, as SPIRE counts
      });
    }),
  };
}
