/** The survival of everything on this node: the agent and each of its entries, gathered from where their SVIDs and tokens are held. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import { trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { formatServerAddress } from '../agent-identity/server-address.js';
import type { IdentityKeeper } from '../agent-identity/identity-keeper.js';
import type { ServerConnection } from '../agent-identity/server-connection.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { EntrySync } from '../sync/entry-sync.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import type { WitSvids } from '../token-svids/wit-svids.js';
import { bundleEnd, compareSurvival, survivalOf, type WorkloadSurvival } from './survival.js';

export interface AgentSurvival {
  /** Undefined before the agent is attested. */
  readonly agentId: string | undefined;
  readonly svidExpiresAt: Date | undefined;
  readonly canAttest: boolean;
  readonly isConnected: boolean;
  readonly lastSyncAt: Date | undefined;
  readonly serverAddress: string;
  readonly targetSeconds: number | undefined;
  readonly now: Date;
}

export interface NodeSurvivalParts {
  readonly cache: Pick<SvidCache, 'holdings' | 'bundle'>;
  readonly keeper: Pick<IdentityKeeper, 'svid' | 'canAttestAgain'>;
  readonly sync: Pick<EntrySync, 'isConnected' | 'lastSyncAt'>;
  readonly connection: Pick<ServerConnection, 'address'>;
  readonly jwtSvids: Pick<JwtSvids, 'usableUntil'>;
  readonly witSvids: Pick<WitSvids, 'svid'>;
  readonly targetSeconds: number | undefined;
  readonly clock: Clock;
}

export class NodeSurvival {
  readonly #parts: NodeSurvivalParts;

  constructor(parts: NodeSurvivalParts) {
    this.#parts = parts;
  }

  agent(): AgentSurvival {
    const { clock, connection, keeper, sync, targetSeconds } = this.#parts;
    return {
      agentId: keeper.svid?.spiffeId,
      svidExpiresAt: keeper.svid?.notAfter,
      canAttest: keeper.canAttestAgain,
      isConnected: sync.isConnected,
      lastSyncAt: sync.lastSyncAt,
      serverAddress: formatServerAddress(connection.address),
      targetSeconds,
      now: clock.now(),
    };
  }

  /** Those that fail first come first. */
  workloads(): readonly WorkloadSurvival[] {
    const { cache, clock, jwtSvids, targetSeconds, witSvids } = this.#parts;
    const now = clock.now();
    const tokens = jwtSvids.usableUntil();
    const bundleEnds = new Map<TrustDomain, Date | undefined>();
    const bundleEndOf = (trustDomain: TrustDomain): Date | undefined => {
      if (!bundleEnds.has(trustDomain)) bundleEnds.set(trustDomain, bundleEnd(cache.bundle(trustDomain)));
      return bundleEnds.get(trustDomain);
    };
    return cache
      .holdings()
      .map(({ entry, svid, isInUse }) =>
        survivalOf(
          {
            entryId: entry.id,
            spiffeId: entry.spiffeId,
            svid,
            bundleExpiresAt: bundleEndOf(trustDomainOf(entry.spiffeId)),
            tokenExpiresAt: earliest(tokens.get(entry.id), witSvids.svid(entry.id)?.expiresAt),
            isInUse,
          },
          now,
          targetSeconds,
        ),
      )
      .toSorted(compareSurvival);
  }
}

function earliest(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}
