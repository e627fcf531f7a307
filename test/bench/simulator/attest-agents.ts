/** Many agents as the server sees them: each attested by a join token of its own, each with its own SVID. */
import type { KeyObject } from 'node:crypto';
import { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { createX509Svid } from '@bonafide/agent/svid-renewal/create-x509-svid';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { credentials } from '@grpc/grpc-js';
import { inLanes } from './in-lanes.js';

export interface AgentsServer {
  readonly trustDomain: string;
  readonly port: number;
  /** Of the admin API, where tokens are made. */
  readonly socketPath: string;
}

export interface AttestedAgents {
  /** Of the trust domain's bundle. */
  readonly authorities: readonly Buffer[];
  readonly identities: readonly X509Svid[];
  /** All of them have one and the same key, which no server can tell; it only saves the time of making keys. */
  readonly privateKey: KeyObject;
  readonly csr: Buffer;
}

const LIMIT_MS = 60_000;
const TOKEN_TTL_SECONDS = 600;
const AT_A_TIME = 16;

/** @param aliasPath of a SPIFFE ID that all the agents also have; undefined: they share nothing. */
export async function attestAgents(
  server: AgentsServer,
  count: number,
  aliasPath?: string,
): Promise<AttestedAgents> {
  const trustDomain = parseTrustDomain(server.trustDomain);
  const admin = [`unix:${server.socketPath}`, credentials.createInsecure()] as const;
  const bundles = new (loadService('spire.api.server.bundle.v1.Bundle').Client)(...admin);
  const agents = new (loadService('spire.api.server.agent.v1.Agent').Client)(...admin);
  const { x509Authorities } = await callUnary(bundles, 'GetBundle', {}, { deadlineMs: LIMIT_MS });
  const authorities = x509Authorities.map(({ asn1 }) => asn1);
  const privateKey = await generatePrivateKey('ec-p256');
  const csr = await createCertificateSigningRequest(privateKey);
  const connection = connectTo([server]);
  connection.trust(authorities);
  const newcomers = connection.openAnonymous();
  const attest = async (): Promise<X509Svid> => {
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
    return createX509Svid(answer?.result?.svid?.certChain ?? [], privateKey, csr);
  };
  try {
    return { authorities, identities: await inLanes(count, AT_A_TIME, attest), privateKey, csr };
  } finally {
    newcomers.close();
    connection.close();
    agents.close();
    bundles.close();
  }
}

/** Goes to the first of the servers while that works. Trusts nothing yet and is nobody. */
export function connectTo(servers: readonly AgentsServer[]): ServerConnection {
  const [first] = servers;
  if (first === undefined) throw new Error('no server to connect to');
  return new ServerConnection({
    addresses: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    trustDomain: parseTrustDomain(first.trustDomain),
    random: () => 0,
  });
}
