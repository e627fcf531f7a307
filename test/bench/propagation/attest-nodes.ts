/** Many nodes as the server sees them: each attested by a join token, each with a connection under its own SVID. */
import { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { createX509Svid } from '@bonafide/agent/svid-renewal/create-x509-svid';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { credentials } from '@grpc/grpc-js';

export interface NodeServer {
  readonly trustDomain: string;
  readonly port: number;
  /** Of the admin API, where tokens are made. */
  readonly socketPath: string;
}

const LIMIT_MS = 30_000;
const TOKEN_TTL_SECONDS = 600;
const AT_A_TIME = 16;

/**
 * All nodes have one and the same key, which only saves the time of making keys.
 * @param aliasPath of a SPIFFE ID that all the nodes also have; undefined: they share nothing.
 */
export async function attestNodes(
  server: NodeServer,
  count: number,
  aliasPath?: string,
): Promise<readonly ServerConnection[]> {
  const trustDomain = parseTrustDomain(server.trustDomain);
  const admin = [`unix:${server.socketPath}`, credentials.createInsecure()] as const;
  const bundles = new (loadService('spire.api.server.bundle.v1.Bundle').Client)(...admin);
  const agents = new (loadService('spire.api.server.agent.v1.Agent').Client)(...admin);
  const { x509Authorities } = await callUnary(bundles, 'GetBundle', {}, { deadlineMs: LIMIT_MS });
  const authorities = x509Authorities.map(({ asn1 }) => asn1);
  const connect = (): ServerConnection => {
    const connection = new ServerConnection({
      address: { host: '127.0.0.1', port: server.port },
      trustDomain,
    });
    connection.trust(authorities);
    return connection;
  };
  const privateKey = await generatePrivateKey('ec-p256');
  const csr = await createCertificateSigningRequest(privateKey);
  const newcomers = connect().openAnonymous();
  const attest = async (): Promise<ServerConnection> => {
    const agentId = aliasPath === undefined ? null : { trustDomain, path: aliasPath };
    const { value: token } = await callUnary(agents, 'CreateJoinToken', { ttl: TOKEN_TTL_SECONDS, agentId });
    const stream = openBidiStream(newcomers.client('spire.api.server.agent.v1.Agent'), 'AttestAgent', {
      deadlineMs: LIMIT_MS,
    });
    await stream.send({
      params: { data: { type: 'join_token', payload: Buffer.from(token) }, params: { csr } },
    });
    const { value: answer } = await stream.messages.next();
    stream.cancel();
    const connection = connect();
    connection.identify(createX509Svid(answer?.result?.svid?.certChain ?? [], privateKey, csr));
    return connection;
  };
  try {
    return await inLanes(count, AT_A_TIME, attest);
  } finally {
    newcomers.close();
    agents.close();
    bundles.close();
  }
}

/** Does the work so many times, a few at a time. @returns the results by index. */
export async function inLanes<T>(
  count: number,
  lanes: number,
  work: (index: number) => Promise<T>,
): Promise<readonly T[]> {
  const results: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await work(index);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}
