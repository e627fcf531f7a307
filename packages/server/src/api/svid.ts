/** spire.api.server.svid.v1.SVID: agents have their entries' SVIDs signed, operators mint SVIDs by hand. */
import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { x509SvidToProto } from '@bonafide/shared/rpc/codec/x509-svid';
import type { NewX509SVIDParams__Output } from '@bonafide/shared/rpc/gen/spire/api/server/svid/v1/NewX509SVIDParams';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { OK_STATUS_PROTO, statusProtoFromError } from '@bonafide/shared/rpc/status';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext, callingAgent } from '../access/call-context.js';
import type { RateLimits } from '../access/rate-limits.js';
import type { IssuedX509Svid, X509SvidIssuer } from '../issuance/x509-svid-request.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import { checkWorkloadId } from './request/own-ids.js';
import { unimplemented } from './unimplemented.js';

export interface SvidApiOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: EntryGraph;
  readonly issuer: X509SvidIssuer;
  readonly rateLimits: RateLimits;
  readonly defaultTtlSeconds: number;
  /** CSRs in one call. */
  readonly largestBatch: number;
}

const TOKENS = 'signing JWT-SVIDs and WIT-SVIDs';

export function createSvidHandlers(options: SvidApiOptions): Handlers<'spire.api.server.svid.v1.SVID'> {
  const { trustDomain, graph, issuer, rateLimits, defaultTtlSeconds, largestBatch } = options;

  async function signForEntry(
    agentId: SpiffeId,
    { entryId, csr }: NewX509SVIDParams__Output,
  ): Promise<IssuedX509Svid> {
    if (entryId === '') throw invalidArgument('missing entry ID');
    if (csr.length === 0) throw invalidArgument('missing CSR');
    const entry = graph.authorizedEntry(agentId, entryId);
    if (entry === undefined) throw new BonafideError('not_found', 'entry not found or not authorized');
    return issuer.issue({
      csr,
      spiffeId: entry.spiffeId,
      dnsNames: entry.dnsNames,
      ttlSeconds: entry.x509SvidTtlSeconds ?? defaultTtlSeconds,
    });
  }

  return {
    BatchNewX509SVID: unaryHandler(callContext, async ({ params }, _call, context) => {
      const { agentId } = callingAgent(context);
      if (params.length === 0) throw invalidArgument('missing parameters');
      if (params.length > largestBatch) {
        throw new BonafideError(
          'resource_exhausted',
          `rate (${params.length}) exceeds burst size (${largestBatch})`,
        );
      }
      await rateLimits.take('signing', context.peer, params.length, context.signal);
      const results = await Promise.all(
        params.map(async (param) => {
          try {
            const svid = await signForEntry(agentId, param);
            context.log.debug(
              { entry_id: param.entryId, spiffe_id: svid.spiffeId, serial_number: svid.serialNumber },
              'Signed X509 SVID',
            );
            return { status: OK_STATUS_PROTO, svid: x509SvidToProto(svid) };
          } catch (error) {
            return { status: statusProtoFromError(error, context) };
          }
        }),
      );
      return { results };
    }),

    MintX509SVID: unaryHandler(callContext, async ({ csr, ttl }, _call, { log }) => {
      if (csr.length === 0) throw invalidArgument('missing CSR');
      if (ttl < 0) throw invalidArgument('ttl is negative');
      const { spiffeId, dnsNames } = mintedNames(csr, trustDomain);
      const svid = await issuer.issue({
        csr,
        spiffeId,
        dnsNames,
        ttlSeconds: ttl === 0 ? defaultTtlSeconds : ttl,
      });
      log.info({ spiffe_id: spiffeId, serial_number: svid.serialNumber }, 'Minted X509 SVID');
      return { svid: x509SvidToProto(svid) };
    }),

    MintJWTSVID: unimplemented(TOKENS),
    MintWITSVID: unimplemented(TOKENS),
    NewJWTSVID: unimplemented(TOKENS),
    BatchNewWITSVID: unimplemented(TOKENS),
    NewDownstreamX509CA: unimplemented('signing downstream authorities'),
  };
}

/** An operator may ask for any workload's names, and does so in the CSR; its signature is checked before anything is signed. */
function mintedNames(
  csr: Buffer,
  trustDomain: TrustDomain,
): { readonly spiffeId: SpiffeId; readonly dnsNames: readonly string[] } {
  const { uriNames, dnsNames } = parseCertificateSigningRequest(csr);
  const [uri, ...more] = uriNames;
  if (uri === undefined) throw invalidArgument('CSR URI SAN is required');
  if (more.length > 0) throw invalidArgument('only one URI SAN is expected');
  return { spiffeId: checkWorkloadId(trustDomain, parseSpiffeId(uri)), dnsNames };
}
