/** Nodes that attest one after the other or several at once, each over a TLS connection of its own, by the code of the real agent. */
import type { KeyObject } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { attestAgent } from '@bonafide/agent/node-attestation/attest-agent';
import type { NodeAttestor } from '@bonafide/agent/node-attestation/node-attestor';
import type { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { credentials } from '@grpc/grpc-js';
import { connectTo, type AgentsServer } from '../simulator/attest-agents.js';
import { inLanes } from '../simulator/in-lanes.js';

export interface AttestedNewcomers {
  readonly svids: readonly (X509Svid & { readonly privateKey: KeyObject })[];
  /** Of each, from the making of its key until it has its SVID. */
  readonly latenciesMs: readonly number[];
}

const LIMIT_MS = 60_000;
const AT_A_TIME = 16;

export class Newcomers {
  readonly #server: AgentsServer;
  readonly authorities: readonly Buffer[];

  private constructor(server: AgentsServer, authorities: readonly Buffer[]) {
    this.#server = server;
    this.authorities = authorities;
  }

  static async of(server: AgentsServer): Promise<Newcomers> {
    const bundles = new (loadService('spire.api.server.bundle.v1.Bundle').Client)(...adminOf(server));
    const { x509Authorities } = await callUnary(bundles, 'GetBundle', {}, { deadlineMs: LIMIT_MS });
    bundles.close();
    return new Newcomers(
      server,
      x509Authorities.map(({ asn1 }) => asn1),
    );
  }

  async createTokens(count: number): Promise<readonly string[]> {
    const agents = new (loadService('spire.api.server.agent.v1.Agent').Client)(...adminOf(this.#server));
    try {
      return await inLanes(
        count,
        AT_A_TIME,
        async () => (await callUnary(agents, 'CreateJoinToken', { ttl: 3600 })).value,
      );
    } finally {
      agents.close();
    }
  }

  /** @param svid undefined: nobody in particular. */
  connect(svid?: X509Svid): ServerConnection {
    const connection = connectTo([this.#server]);
    connection.trust(this.authorities);
    connection.identify(svid);
    return connection;
  }

  async attest(
    count: number,
    lanes: number,
    attestorOf: (index: number) => NodeAttestor,
  ): Promise<AttestedNewcomers> {
    const connection = this.connect();
    const trustDomain = parseTrustDomain(this.#server.trustDomain);
    const latenciesMs: number[] = [];
    try {
      const svids = await inLanes(count, lanes, async (index) => {
        const startedMs = performance.now();
        const { svid } = await attestAgent({
          ...{ connection, attestor: attestorOf(index), trustDomain },
          signal: AbortSignal.timeout(LIMIT_MS),
        });
        latenciesMs.push(performance.now() - startedMs);
        return svid;
      });
      return { svids, latenciesMs };
    } finally {
      connection.close();
    }
  }
}

function adminOf({
  socketPath,
}: AgentsServer): readonly [string, ReturnType<typeof credentials.createInsecure>] {
  return [`unix:${socketPath}`, credentials.createInsecure()];
}
