/** Proves this node to the server and brings back the agent's SVID: one AttestAgent stream, driven by the attestor. */
import { createHash } from 'node:crypto';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { openBidiStream } from '@bonafide/shared/rpc/client-call';
import type { _spire_api_server_agent_v1_AttestAgentResponse_Result__Output as AttestationResult } from '@bonafide/shared/rpc/gen/spire/api/server/agent/v1/AttestAgentResponse';
import { isAgentId, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AgentIdentity } from '../agent-identity/agent-identity.js';
import type { ServerConnection } from '../agent-identity/server-connection.js';
import { createX509Svid } from '../svid-renewal/create-x509-svid.js';
import type { NodeAttestor } from './node-attestor.js';

/** Attestors may have to ask hardware or a cloud. */
const LONGEST_ATTESTATION_MS = 60_000;

interface AttestAgentOptions {
  readonly connection: ServerConnection;
  readonly attestor: NodeAttestor;
  readonly trustDomain: TrustDomain;
  /** By which the server is verified; undefined: as the connection does. */
  readonly authorities?: readonly Buffer[] | undefined;
  readonly signal: AbortSignal;
}

/** @throws BonafideError with the reason for which the server refused, or `unavailable` when it cannot be reached or trusted. */
export async function attestAgent({
  connection,
  attestor,
  trustDomain,
  authorities,
  signal,
}: AttestAgentOptions): Promise<AgentIdentity> {
  const privateKey = await generatePrivateKey('ec-p256');
  const csr = await createCertificateSigningRequest(privateKey);
  const channel = connection.openAnonymous(authorities);
  const stream = openBidiStream(channel.client('spire.api.server.agent.v1.Agent'), 'AttestAgent', {
    deadlineMs: LONGEST_ATTESTATION_MS,
    signal,
  });
  const results: AttestationResult[] = [];
  let isFirst = true;
  try {
    await attestor.attest({
      csrHash: createHash('sha256').update(csr).digest(),
      async send(data) {
        await stream.send(
          isFirst
            ? { params: { data: { type: attestor.type, payload: data }, params: { csr } } }
            : { challengeResponse: data },
        );
        isFirst = false;
        const { value: answer } = await stream.messages.next();
        if (answer?.step === 'challenge') return answer.challenge;
        if (answer?.result) results.push(answer.result);
        return undefined;
      },
    });
  } catch (error) {
    if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
    throw error;
  } finally {
    stream.cancel();
    channel.close();
  }
  const [attested] = results;
  if (attested === undefined || attested.svid === null) {
    throw new BonafideError('internal', 'the server answered the attestation without an SVID');
  }
  const svid = createX509Svid(attested.svid.certChain, privateKey, csr);
  if (!isAgentId(svid.spiffeId) || trustDomainOf(svid.spiffeId) !== trustDomain) {
    throw new BonafideError(
      'internal',
      `the server issued ${svid.spiffeId}; expected the ID of an agent of trust domain ${trustDomain}`,
    );
  }
  return { svid, canReattest: attested.reattestable };
}
