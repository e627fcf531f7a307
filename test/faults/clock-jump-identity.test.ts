/** A node's clock is set while its server keeps the right time: the agent's own SVID, which it cannot get twice, must not be lost. */
import type { AgentIdentity } from '@bonafide/agent/agent-identity/agent-identity';
import { IdentityKeeper } from '@bonafide/agent/agent-identity/identity-keeper';
import { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { attestAgent } from '@bonafide/agent/node-attestation/attest-agent';
import { createNodeAttestor } from '@bonafide/agent/node-attestation/attestors';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { InProcessServer } from '../integration/server-in-process.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const MONTH_MS = 30 * 24 * HOUR_MS;
const STEP_MS = 20_000;

const trustDomain = parseTrustDomain('example.org');

class KeptIdentity implements AsyncDisposable {
  /** Of the node. */
  readonly clock: FakeClock;
  /** One for each SVID that was obtained. */
  readonly saved: AgentIdentity[] = [];
  readonly server: InProcessServer;
  readonly #serverClock: FakeClock;
  readonly #stopping = new AbortController();
  #ended: Promise<unknown> = Promise.resolve();
  #failure: string | undefined;

  private constructor(server: InProcessServer, serverClock: FakeClock) {
    this.server = server;
    this.#serverClock = serverClock;
    this.clock = new FakeClock(serverClock.now());
  }

  /** Attested by join token, for an hour. */
  static async start(): Promise<KeptIdentity> {
    // It begins in the past, so that all that follows is also valid by the real time, by which OpenSSL judges the server.
    const clock = new FakeClock(new Date(Date.now() - 4 * HOUR_MS));
    const ttls = { ca_ttl: '240h', default_x509_svid_ttl: '24h', agent_ttl: '1h' };
    const server = await InProcessServer.start({ clock, config: { server: ttls } });
    const kept = new KeptIdentity(server, clock);
    await kept.#attest(await server.createToken());
    return kept;
  }

  /** On both sides. @throws when the agent has given up. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await this.#serverClock.advance(Math.min(left, STEP_MS));
      await this.clock.advance(Math.min(left, STEP_MS));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (this.#failure !== undefined) throw new Error(this.#failure);
  }

  async renewed(since: number): Promise<void> {
    await waitFor('a renewal', () => this.saved.length > since);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
    await this.server[Symbol.asyncDispose]();
  }

  async #attest(joinToken: string): Promise<void> {
    const { clock, server } = this;
    const { signal } = this.#stopping;
    const log = silentLogger;
    const connection = new ServerConnection({
      addresses: [{ host: '127.0.0.1', port: server.port }],
      trustDomain,
    });
    const bundle = await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {});
    connection.trust(bundle.x509Authorities.map(({ asn1 }) => asn1));
    const attestor = createNodeAttestor({ join_token: {} }, { trustDomain, joinToken, clock, log });
    const keeper = new IdentityKeeper({
      connection,
      storage: {
        load: () => Promise.resolve(undefined),
        save: (identity) => {
          this.saved.push(identity);
          return Promise.resolve();
        },
        delete: () => Promise.resolve(),
      },
      attest: (scope) => attestAgent({ connection, attestor, trustDomain, signal: scope }),
      canAttest: () => !attestor.isSpent,
      isTainted: () => false,
      isAlwaysPatient: () => false,
      onQuarantined: () => undefined,
      explain: errorMessage,
      policy: { availabilityTargetSeconds: undefined, random: () => 0.5 },
      ...{ clock, log },
    });
    await keeper.attest(false, signal);
    this.#ended = keeper
      .run(signal)
      .catch((error: unknown) => (this.#failure = errorMessage(error)))
      .finally(() => {
        connection.close();
      });
  }
}

describe("the agent's own SVID when the clock of its node is set", () => {
  it('an hour back is renewed as if nothing had happened', async () => {
    await using kept = await KeptIdentity.start();
    await kept.pass(MINUTE_MS);
    kept.clock.jumpWallClock(-HOUR_MS);
    await kept.pass(31 * MINUTE_MS);
    await kept.renewed(1);
    await kept.pass(120 * MINUTE_MS);
    await kept.renewed(4);
    expect(kept.saved.length).toBeLessThanOrEqual(7);
  });

  it.each([
    ['an hour', HOUR_MS],
    ['a month', MONTH_MS],
  ])(
    '%s ahead by mistake is not given up, and not renewed without end',
    async (_name, jumpMs) => {
      await using kept = await KeptIdentity.start();
      await kept.pass(MINUTE_MS);
      kept.clock.jumpWallClock(jumpMs);
      await kept.pass(20 * MINUTE_MS);
      await kept.renewed(1);
      expect(kept.saved.length).toBeLessThanOrEqual(25);

      kept.clock.jumpWallClock(-jumpMs);
      await kept.pass(MINUTE_MS);
      const mended = kept.saved.length;
      await kept.pass(35 * MINUTE_MS);
      await kept.renewed(mended);
      expect(kept.saved.length).toBeLessThanOrEqual(mended + 3);
    },
    300_000,
  );
});
