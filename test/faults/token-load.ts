/** Nodes that race for join tokens, and try again what they already tried, while the servers die under them. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { LaunchedServer } from '@bonafide/testing/launch-server';
import { adminClient, attestByToken } from './admin-client.js';

const DEADLINE_MS = 5_000;
const PAUSE_AFTER_FAILURE_MS = 30;
const RACERS = 2;

interface TokenLoadOptions {
  /** Of one registry; who races for a token is spread over them. */
  readonly servers: readonly LaunchedServer[];
  readonly authorities: readonly string[];
  /** How many tokens are raced for at a time. */
  readonly races: number;
}

export class TokenLoad {
  readonly #options: TokenLoadOptions;
  /** The serial numbers that each token has brought. */
  readonly #successes = new Map<string, string[]>();
  readonly #problems: string[] = [];
  readonly #runners: readonly Promise<void>[];
  #attempts = 0;
  #isStopped = false;

  constructor(options: TokenLoadOptions) {
    this.#options = options;
    this.#runners = Array.from({ length: options.races }, (_, index) => this.#race(this.#server(index)));
  }

  get tokens(): number {
    return this.#successes.size;
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Tokens by which a node was attested, as far as the node has heard. */
  get spent(): number {
    return [...this.#successes.values()].filter(({ length }) => length > 0).length;
  }

  /** Tokens by which more than one node was attested; none is expected. */
  get spentTwice(): readonly string[] {
    return [...this.#successes].filter(([, serials]) => serials.length > 1).map(([token]) => token);
  }

  /** Anything that is neither success, nor a token that is spent, nor a server that is away. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Tries the newest tokens once more, each by racing nodes. */
  async retry(count: number): Promise<void> {
    const tokens = [...this.#successes.keys()].slice(-count);
    await Promise.all(tokens.map((token) => this.#attest(token)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#runners);
  }

  /** Attested nodes whose SVID the server does not know; none is expected. */
  async forgotten(server = this.#server(0)): Promise<readonly string[]> {
    const client = adminClient(server, 'spire.api.server.agent.v1.Agent');
    try {
      const { agents } = await callUnary(client, 'ListAgents', {});
      const known = new Set(
        agents.map(({ x509svidSerialNumber }) => BigInt(x509svidSerialNumber).toString(16)),
      );
      return [...this.#successes].flatMap(([token, serials]) =>
        serials
          .filter((serial) => !known.has(BigInt(`0x${serial}`).toString(16)))
          .map((serial) => `${token}: ${serial}`),
      );
    } finally {
      client.close();
    }
  }

  #server(index: number): LaunchedServer {
    const { servers } = this.#options;
    const server = servers[index % servers.length];
    if (server === undefined) throw new Error('a load needs a server');
    return server;
  }

  async #race(server: LaunchedServer): Promise<void> {
    const client = adminClient(server, 'spire.api.server.agent.v1.Agent');
    try {
      while (!this.#isStopped) {
        const token = await callUnary(
          client,
          'CreateJoinToken',
          { ttl: 600 },
          { deadlineMs: DEADLINE_MS },
        ).then(
          ({ value }) => value,
          (error: unknown) => this.#noteFailure(error),
        );
        if (token === undefined) continue;
        this.#successes.set(token, []);
        await this.#attest(token);
      }
    } finally {
      client.close();
    }
  }

  async #attest(token: string): Promise<void> {
    const { authorities } = this.#options;
    const attempts = Array.from({ length: RACERS }, async (_, index) => {
      this.#attempts += 1;
      try {
        this.#successes.get(token)?.push(await attestByToken(this.#server(index), token, authorities));
      } catch (error) {
        await this.#noteFailure(error);
      }
    });
    await Promise.all(attempts);
  }

  async #noteFailure(error: unknown): Promise<undefined> {
    if (error instanceof BonafideError && error.message.includes('already been used')) return;
    if (!hasReason(error, 'unavailable', 'cancelled', 'deadline_exceeded'))
      this.#problems.push(String(error));
    await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILURE_MS));
  }
}
