/** spire.api.server.svid.v1.SVID: agents have their entries' SVIDs signed, operators mint SVIDs by hand. */
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { RateLimits } from '../access/rate-limits.js';
import type { EntryReader } from '../store/entry-record.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { JwtSvidIssuer } from '../issuance/jwt-svid-request.js';
import type { WitSvidIssuer } from '../issuance/wit-svid-request.js';
import type { X509SvidBatchIssuer, X509SvidIssuer } from '../issuance/x509-svid-request.js';
import { createDownstreamSvidHandlers, type DownstreamSvidOptions } from './downstream.js';
import { createJwtSvidHandlers } from './svid/jwt-svids.js';
import { createWitSvidHandlers } from './svid/wit-svids.js';
import { createX509SvidHandlers } from './svid/x509-svids.js';

export interface SvidApiOptions extends DownstreamSvidOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: EntryGraph;
  /** As the database has them, for a scoped admin who mints. */
  readonly entries: Pick<EntryReader, 'count'>;
  readonly issuers: {
    readonly x509: X509SvidIssuer;
    readonly x509Batches: X509SvidBatchIssuer;
    readonly jwt: JwtSvidIssuer;
    readonly wit: WitSvidIssuer;
  };
  readonly rateLimits: RateLimits;
  /** For entries that name none; as configured now. */
  readonly defaultTtlSeconds: () => { readonly x509: number; readonly jwt: number };
  /** SVIDs in one call. */
  readonly largestBatch: number;
}

export function createSvidHandlers(options: SvidApiOptions): Handlers<'spire.api.server.svid.v1.SVID'> {
  const { issuers, defaultTtlSeconds, ...shared } = options;
  return {
    ...createX509SvidHandlers({
      ...shared,
      issuer: issuers.x509,
      batchIssuer: issuers.x509Batches,
      defaultTtlSeconds: () => defaultTtlSeconds().x509,
    }),
    ...createJwtSvidHandlers({
      ...shared,
      issuer: issuers.jwt,
      defaultTtlSeconds: () => defaultTtlSeconds().jwt,
    }),
    ...createWitSvidHandlers({ ...shared, issuer: issuers.wit }),
    ...createDownstreamSvidHandlers(shared),
  };
}
