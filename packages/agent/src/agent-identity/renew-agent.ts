/** Has the server replace the agent's own SVID by one for a new key: Agent.RenewAgent, called under the present SVID. */
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createX509Svid } from '../svid-renewal/create-x509-svid.js';
import type { ServerChannel } from './server-connection.js';

const LIMIT_MS = 30_000;

/** @throws BonafideError as the server answers; `internal` for a certificate that is not of this agent or key. */
export async function renewAgent(
  channel: ServerChannel,
  spiffeId: SpiffeId,
  signal: AbortSignal,
): Promise<X509Svid> {
  const privateKey = await generatePrivateKey('ec-p256');
  const csr = await createCertificateSigningRequest(privateKey);
  const client = channel.client('spire.api.server.agent.v1.Agent');
  const settings = { deadlineMs: LIMIT_MS, signal };
  const { svid: renewed } = await callUnary(client, 'RenewAgent', { params: { csr } }, settings);
  const svid = createX509Svid(renewed?.certChain ?? [], privateKey, csr);
  if (svid.spiffeId !== spiffeId) {
    throw new BonafideError('internal', `the server issued ${svid.spiffeId} to the agent ${spiffeId}`);
  }
  return svid;
}
