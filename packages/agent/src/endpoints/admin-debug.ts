/** spire.agent.debug.v1.Debug on the admin socket: a glance at the agent from within. */
import type { Server } from '@grpc/grpc-js';
import { callContexts } from '@bonafide/shared/rpc/call-context';
import { describeChain } from '@bonafide/shared/rpc/codec/described-certificate';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';

export interface DebugServiceOptions {
  readonly agentSvid: () => X509Svid | undefined;
  readonly lastSyncAt: () => Date | undefined;
  readonly trustDomain: TrustDomain;
  readonly cache: Pick<SvidCache, 'bundle' | 'holdings'>;
  readonly jwtSvids: Pick<JwtSvids, 'size'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export function addDebugService(
  server: Server,
  { agentSvid, cache, clock, jwtSvids, lastSyncAt, log, trustDomain }: DebugServiceOptions,
): void {
  const startedMs = clock.monotonicMs();
  const handlers: Handlers<'spire.agent.debug.v1.Debug'> = {
    GetInfo: unaryHandler(callContexts(log), () => {
      const held = cache.holdings().filter(({ svid }) => svid !== undefined);
      const ofStores = held.filter(({ entry }) => entry.storesSvid).length;
      const ofWorkloads = held.length - ofStores;
      const authorities = cache.bundle(trustDomain)?.x509Authorities ?? [];
      const syncedAt = lastSyncAt();
      return Promise.resolve({
        svidChain: describeChain(agentSvid()?.certificateChain ?? [], authorities),
        uptime: Math.floor((clock.monotonicMs() - startedMs) / 1000),
        svidsCount: ofWorkloads,
        cachedX509SvidsCount: ofWorkloads,
        cachedJwtSvidsCount: jwtSvids.size,
        cachedSvidstoreX509SvidsCount: ofStores,
        lastSyncSuccess: syncedAt === undefined ? 0 : unixSeconds(syncedAt),
      });
    }),
  };
  server.addService(loadService('spire.agent.debug.v1.Debug').definition, handlers);
}
