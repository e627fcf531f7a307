/** Clients of a launched server: over its admin socket, and over TLS as a node that has nothing to show yet. */
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { createMutualTlsCredentials, mutualTlsChannelOptions } from '@bonafide/shared/rpc/mutual-tls-channel';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { LaunchedServer } from '@bonafide/testing/launch-server';
import { credentials, type ChannelOptions } from '@grpc/grpc-js';

/** The server comes and goes; who waits long for it to come back tests little. */
const RECONNECT: ChannelOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 200,
  'grpc.use_local_subchannel_pool': 1,
};

export function adminClient<Name extends ServiceName>(
  { socketPath }: Pick<LaunchedServer, 'socketPath'>,
  service: Name,
): ServiceClient<Name> {
  const { Client } = loadService(service);
  return new Client(`unix:${socketPath}`, credentials.createInsecure(), RECONNECT);
}

/** DER, sorted, so that two answers can be compared. */
export async function authoritiesOf(server: LaunchedServer): Promise<readonly string[]> {
  const client = adminClient(server, 'spire.api.server.bundle.v1.Bundle');
  try {
    const { x509Authorities } = await callUnary(client, 'GetBundle', {}, { deadlineMs: 5_000 });
    return x509Authorities.map(({ asn1 }) => asn1.toString('base64')).sort();
  } finally {
    client.close();
  }
}

/** Key IDs of the authorities that sign JWT-SVIDs and WIT-SVIDs. */
export async function tokenAuthoritiesOf(server: LaunchedServer): Promise<readonly string[]> {
  const client = adminClient(server, 'spire.api.server.bundle.v1.Bundle');
  try {
    const bundle = await callUnary(client, 'GetBundle', {}, { deadlineMs: 5_000 });
    return [...bundle.jwtAuthorities, ...bundle.witAuthorities].map(({ keyId }) => keyId);
  } finally {
    client.close();
  }
}

/**
 * Attests as a new node by join token.
 * @returns the serial number of its SVID.
 * @throws BonafideError as the server refused, or when it cannot be reached.
 */
export async function attestByToken(
  server: LaunchedServer,
  token: string,
  authorities: readonly string[],
): Promise<string> {
  const serverId = parseSpiffeId(`spiffe://${server.trustDomain}/spire/server`);
  const { Client } = loadService('spire.api.server.agent.v1.Agent');
  const client = new Client(
    `127.0.0.1:${server.port}`,
    createMutualTlsCredentials({
      serverId,
      authorities: authorities.map((base64) => Buffer.from(base64, 'base64')),
    }),
    { ...mutualTlsChannelOptions(serverId), ...RECONNECT },
  );
  const stream = openBidiStream(client, 'AttestAgent', { deadlineMs: 10_000 });
  try {
    const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
    await stream.send({
      params: { data: { type: 'join_token', payload: Buffer.from(token) }, params: { csr } },
    });
    const { value } = await stream.messages.next();
    const [leaf] = value?.result?.svid?.certChain ?? [];
    if (leaf === undefined) throw new Error('the server answered the attestation without an SVID');
    return parseX509SvidLeaf(leaf).leaf.serialNumber;
  } finally {
    stream.cancel();
    client.close();
  }
}
