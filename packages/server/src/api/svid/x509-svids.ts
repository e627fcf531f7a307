/** X.509-SVIDs of spire.api.server.svid.v1.SVID: agents have those of their entries signed, operators mint them by hand. */
import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { x509SvidToProto } from '@bonafide/shared/rpc/codec/x509-svid';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext, callingAgent } from '../../access/call-context.js';
import type { EntryGraph } from '../../entry-graph/entry-graph.js';
import type { X509SvidIssuer } from '../../issuance/x509-svid-request.js';
import { checkWorkloadId } from '../request/own-ids.js';
import { authorizedEntry, mintedTtl, signBatch, type BatchOptions } from './sign-batch.js';

export interface X509SvidsOptions extends BatchOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: EntryGraph;
  readonly issuer: X509SvidIssuer;
  readonly defaultTtlSeconds: number;
}

type X509SvidHandlers = Pick<Handlers<'spire.api.server.svid.v1.SVID'>, 'BatchNewX509SVID' | 'MintX509SVID'>;

export function createX509SvidHandlers(options: X509SvidsOptions): X509SvidHandlers {
  const { trustDomain, graph, issuer, defaultTtlSeconds } = options;
  return {
    BatchNewX509SVID: unaryHandler(callContext, async ({ params }, _call, context) => {
      const { agentId } = callingAgent(context);
      const results = await signBatch(params, context, options, async ({ entryId, csr }) => {
        if (csr.length === 0 && entryId !== '') throw invalidArgument('missing CSR');
        const entry = authorizedEntry(graph, agentId, entryId);
        const svid = await issuer.issue({
          csr,
          spiffeId: entry.spiffeId,
          dnsNames: entry.dnsNames,
          ttlSeconds: entry.x509SvidTtlSeconds ?? defaultTtlSeconds,
        });
        context.log.debug(
          { entry_id: entryId, spiffe_id: svid.spiffeId, serial_number: svid.serialNumber },
          'Signed X509 SVID',
        );
        return x509SvidToProto(svid);
      });
      return { results };
    }),

    MintX509SVID: unaryHandler(callContext, async ({ csr, ttl }, _call, { log }) => {
      if (csr.length === 0) throw invalidArgument('missing CSR');
      const ttlSeconds = mintedTtl(ttl, defaultTtlSeconds);
      const { spiffeId, dnsNames } = mintedNames(csr, trustDomain);
      const svid = await issuer.issue({ csr, spiffeId, dnsNames, ttlSeconds });
      log.info({ spiffe_id: spiffeId, serial_number: svid.serialNumber }, 'Minted X509 SVID');
      return { svid: x509SvidToProto(svid) };
    }),
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
