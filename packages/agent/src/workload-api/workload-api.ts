/** The SPIFFE Workload API: every profile, for every caller whose process can be attested. */
import type { Server } from '@grpc/grpc-js';
import { loadService } from '@bonafide/shared/rpc/load-service';
import type { WorkloadIdentities } from '../svid-cache/workload-identities.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import type { WitSvids } from '../token-svids/wit-svids.js';
import { createJwtProfile } from './jwt-profile.js';
import { createWitProfile } from './wit-profile.js';
import { sendingBytes } from './sending-bytes.js';
import { WorkloadCalls, type WorkloadCallsOptions } from './workload-calls.js';
import { createX509Profile } from './x509-profile.js';

export interface WorkloadApiOptions extends WorkloadCallsOptions {
  readonly identities: WorkloadIdentities;
  readonly jwtSvids: Pick<JwtSvids, 'fetch'>;
  readonly witSvids: Pick<WitSvids, 'watch'>;
  readonly policy: WorkloadApiPolicy;
}

export interface WorkloadApiPolicy {
  /** Whether whoever has no identity is given the bundles of our trust domain, to verify those who have. */
  readonly allowsUnauthenticatedVerifiers: boolean;
  /** Claims of JWT-SVIDs of other trust domains that are passed on to whoever has them validated, besides the standard's. */
  readonly allowedForeignJwtClaims: readonly string[];
}

const { definition } = loadService('SpiffeWorkloadAPI');

export class WorkloadApi {
  readonly #options: WorkloadApiOptions;
  /** For whatever else is served to the same callers, within the same limits. */
  readonly calls: WorkloadCalls;

  constructor(options: WorkloadApiOptions) {
    this.#options = options;
    this.calls = new WorkloadCalls(options);
  }

  addTo(server: Server): void {
    const { FetchX509SVID, FetchX509Bundles, FetchJWTBundles, FetchWITSVID, FetchWITBundles } = definition;
    server.addService(
      {
        ...definition,
        FetchX509SVID: sendingBytes(FetchX509SVID),
        FetchX509Bundles: sendingBytes(FetchX509Bundles),
        FetchJWTBundles: sendingBytes(FetchJWTBundles),
        FetchWITSVID: sendingBytes(FetchWITSVID),
        FetchWITBundles: sendingBytes(FetchWITBundles),
      },
      {
        ...createX509Profile(this.calls, this.#options),
        ...createJwtProfile(this.calls, this.#options),
        ...createWitProfile(this.calls, this.#options),
      },
    );
  }

  endStreams(): void {
    this.calls.endStreams();
  }
}
