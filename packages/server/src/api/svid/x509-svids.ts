/** X.509-SVIDs of spire.api.server.svid.v1.SVID: agents have those of their entries signed, operators mint them by hand. */
import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { x509SvidToProto } from '@bonafide/shared/rpc/codec/x509-svid';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { OK_STATUS_PROTO, statusProtoFromError } from '@bonafide/shared/rpc/status';
import { svidSecondsLeftIn } from '@bonafide/shared/rpc/svid-seconds-left';
import { untilDeadlineMs } from '@bonafide/shared/runtime/deadline';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext, callingAgent } from '../../access/call-context.js';
import { requireMint } from '../../access/privileged-ids.js';
import type { EntryReader } from '../../store/entry-record.js';
import type { AuditedSvid } from '../../audit/audit-event.js';
import type { EntryGraph } from '../../entry-graph/entry-graph.js';
import type {
  IssuedX509Svid,
  X509SvidBatchIssuer,
  X509SvidIssuer,
  X509SvidRequest,
} from '../../issuance/x509-svid-request.js';
import { checkWorkloadId } from '../request/own-ids.js';
import { admitBatch, authorizedEntry, mintedTtl, noteRefused, type BatchOptions } from './sign-batch.js';

export interface X509SvidsOptions extends BatchOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: EntryGraph;
  readonly entries: Pick<EntryReader, 'count'>;
  /** Of what operators mint, one at a time. */
  readonly issuer: X509SvidIssuer;
  /** Of what agents ask for. */
  readonly batchIssuer: X509SvidBatchIssuer;
  readonly defaultTtlSeconds: () => number;
}

type X509SvidHandlers = Pick<Handlers<'spire.api.server.svid.v1.SVID'>, 'BatchNewX509SVID' | 'MintX509SVID'>;

export function createX509SvidHandlers(options: X509SvidsOptions): X509SvidHandlers {
  const { trustDomain, graph, issuer, batchIssuer, defaultTtlSeconds } = options;
  return {
    BatchNewX509SVID: unaryHandler(callContext, async ({ params }, call, context) => {
      const { agentId } = callingAgent(context);
      const secondsLeft = svidSecondsLeftIn(call.metadata);
      await admitBatch(params, context, options);
      // Looked up when its turn comes: an entry may be changed or deleted while the batch waits.
      const requests = params.map(({ entryId, csr }) => (): X509SvidRequest => {
        if (csr.length === 0 && entryId !== '') throw invalidArgument('missing CSR');
        const { spiffeId, dnsNames, x509SvidTtlSeconds } = authorizedEntry(graph, agentId, entryId);
        return { csr, spiffeId, dnsNames, ttlSeconds: x509SvidTtlSeconds ?? defaultTtlSeconds() };
      });
      const outcomes = await batchIssuer.issueBatch(requests, {
        caller: agentId,
        secondsLeft,
        patienceMs: untilDeadlineMs(call.getDeadline()),
        bytes: params.reduce((sum, { csr }) => sum + csr.length, 0),
        signal: context.signal,
      });
      const results = outcomes.map((outcome, index) => {
        const entryId = params[index]?.entryId;
        if (outcome.kind === 'refused') {
          const status = statusProtoFromError(outcome.error, context);
          noteRefused(context, { entryId, agentId }, status.message);
          return { status };
        }
        const { svid } = outcome;
        context.audit.note({ subject: { spiffeId: svid.spiffeId, entryId, agentId }, svid: audited(svid) });
        context.log.debug(
          { entry_id: entryId, spiffe_id: svid.spiffeId, serial_number: svid.serialNumber },
          'Signed X509 SVID',
        );
        return { status: OK_STATUS_PROTO, svid: x509SvidToProto(svid) };
      });
      return { results };
    }),

    MintX509SVID: unaryHandler(callContext, async ({ csr, ttl }, _call, context) => {
      const { log, audit } = context;
      if (csr.length === 0) throw invalidArgument('missing CSR');
      const ttlSeconds = mintedTtl(ttl, defaultTtlSeconds());
      const { spiffeId, dnsNames } = mintedNames(csr, trustDomain);
      await requireMint({ kind: 'X.509', spiffeId, dnsNames, ttlSeconds }, options, context);
      const svid = await issuer.issue({ csr, spiffeId, dnsNames, ttlSeconds });
      audit.note({ subject: { spiffeId }, svid: audited(svid), details: { dns_names: dnsNames } });
      log.info({ spiffe_id: spiffeId, serial_number: svid.serialNumber }, 'Minted X509 SVID');
      return { svid: x509SvidToProto(svid) };
    }),
  };
}

function audited({ serialNumber, notAfter }: IssuedX509Svid): AuditedSvid {
  return { type: 'x509', serialNumber, expiresAt: notAfter };
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
