/** Two servers on one PostgreSQL with their agents, and a link that can be broken before each of them. */
import { FaultProxy } from '@bonafide/testing/fault-proxy';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { launchPostgres, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll } from 'vitest';
import { authoritiesOf } from './admin-client.js';
import { ExpectedEntries } from './expected-entries.js';
import { Invariants } from './invariants.js';
import { ObservedAgent } from './observed-agent.js';
import { RegistryLoad } from './registry-load.js';
import { TokenLoad } from './token-load.js';

export const DATABASE = 'registry';

export interface Site {
  readonly server: LaunchedServer;
  /** Between the server and the database. */
  readonly databaseLink: FaultProxy;
  /** Between the agents and the server. */
  readonly agentLink: FaultProxy;
}

interface SharedRegistryOptions {
  /** Which servers each agent knows. */
  readonly agents: readonly (readonly ('a' | 'b')[])[];
  /** Connections of each server to the database; the default unless told. */
  readonly poolSize?: number;
  /** The role that the servers use; the owner of the database server unless told. */
  readonly user?: string;
}

/** One for all tests of a file; to be called in its `describe`. */
export function useSharedRegistry(options: SharedRegistryOptions): () => SharedRegistry {
  let registry: SharedRegistry | undefined;
  beforeAll(async () => {
    registry = await SharedRegistry.start(options);
  });
  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]();
  });
  return () => {
    if (registry === undefined) throw new Error('the registry has not been started');
    return registry;
  };
}

/** Of this process, which observes the agents. */
const SELECTOR = `unix:uid:${process.getuid?.() ?? 0}`;
const READY = { readyLimitMs: 60_000 };

export class SharedRegistry implements AsyncDisposable {
  readonly postgres: LaunchedPostgres;
  readonly a: Site;
  readonly b: Site;
  readonly agents: readonly ObservedAgent[];
  readonly invariants: Invariants;
  readonly #expected = new ExpectedEntries();
  readonly #resources: Resources;
  #loads = 0;

  constructor(
    postgres: LaunchedPostgres,
    { a, b }: { readonly a: Site; readonly b: Site },
    agents: readonly ObservedAgent[],
    resources: Resources,
  ) {
    this.postgres = postgres;
    this.a = a;
    this.b = b;
    this.agents = agents;
    this.invariants = new Invariants({
      postgres,
      database: DATABASE,
      servers: this.servers,
      agents,
      selector: SELECTOR,
    });
    this.#resources = resources;
  }

  static async start(options: SharedRegistryOptions): Promise<SharedRegistry> {
    const resources = new Resources();
    try {
      return await start(options, resources);
    } catch (error) {
      await resources[Symbol.asyncDispose]();
      throw error;
    }
  }

  get servers(): readonly LaunchedServer[] {
    return [this.a.server, this.b.server];
  }

  /** Entries of every agent, at both servers; unless told, those that this process sees. */
  changeEntries(
    options: {
      readonly operators?: number;
      readonly selector?: string;
      readonly deadlineMs?: number;
    } = {},
  ): RegistryLoad {
    this.#loads += 1;
    return new RegistryLoad({
      servers: this.servers,
      operators: 4,
      parentPaths: this.agents.map(({ path }) => path),
      selector: SELECTOR,
      mostEntries: 3,
      pauseMs: 30,
      name: `${this.#loads}/`,
      expected: this.#expected,
      ...options,
    });
  }

  async raceForTokens(): Promise<TokenLoad> {
    return new TokenLoad({
      servers: this.servers,
      authorities: await authoritiesOf(this.a.server),
      races: 2,
    });
  }

  /** By whichever server the operators talk to. */
  async isAtWork(load: RegistryLoad, times = 10): Promise<void> {
    const target = load.acknowledged + times;
    await waitFor('the servers to be at work', () => load.acknowledged >= target, {
      limitMs: 120_000,
      explain: () => this.lastWords(),
    });
  }

  lastWords(): string {
    return this.servers.map(({ process }) => process.output.slice(-3000)).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}

async function start(options: SharedRegistryOptions, resources: Resources): Promise<SharedRegistry> {
  const directory = createTemporaryDirectory({ isPublic: true });
  resources.use({
    [Symbol.asyncDispose]: () => {
      directory.remove();
      return Promise.resolve();
    },
  });
  // A killed process loses nothing without it; only a machine would.
  const postgres = resources.use(
    await launchPostgres({ directory: directory.path, settings: { fsync: 'off' } }),
  );
  await prepareDatabase(postgres, options.user);
  const launch = async (name: 'a' | 'b'): Promise<Site> => {
    const databaseLink = resources.use(await FaultProxy.start(postgres.port));
    const url = new URL(postgres.url(DATABASE));
    url.port = String(databaseLink.port);
    if (options.user !== undefined) url.username = options.user;
    const pool = options.poolSize === undefined ? {} : { pool: { max_connections: options.poolSize } };
    const server = resources.use(
      await launchServer({
        directory: directory.path,
        name,
        ...READY,
        config: {
          server: { ratelimit: { attestation: false, signing: false } },
          datastore: { type: 'postgres', url: url.href, ...pool },
        },
      }),
    );
    return { server, databaseLink, agentLink: resources.use(await FaultProxy.start(server.port)) };
  };
  const sites = { a: await launch('a'), b: await launch('b') };
  const agents = await Promise.all(
    options.agents.map(async (known, index) => {
      const agent = resources.use(
        await launchAgent({
          server: sites[known[0] ?? 'a'].server,
          directory: directory.path,
          name: `agent-${index}`,
          ...READY,
          config: {
            agent: {
              server_address: undefined,
              server_port: undefined,
              server_addresses: known.map((name) => `127.0.0.1:${sites[name].agentLink.port}`),
            },
          },
        }),
      );
      return resources.use(new ObservedAgent(agent));
    }),
  );
  return new SharedRegistry(postgres, sites, agents, resources);
}

/** Functions of the schema hide PostgreSQL's own, so that a test can keep it from notifying anybody. */
async function prepareDatabase(postgres: LaunchedPostgres, user?: string): Promise<void> {
  await postgres.createDatabase(DATABASE);
  await postgres.query(`alter database ${DATABASE} set search_path = public, pg_catalog`);
  if (user === undefined) return;
  await postgres.query(`create role ${user} login password '${postgres.password}'`);
  await postgres.query(`grant all on schema public to ${user}`, DATABASE);
}

/** What came first goes last. */
class Resources implements AsyncDisposable {
  readonly #resources: AsyncDisposable[] = [];

  use<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#resources.unshift(resource);
    return resource;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#resources.splice(0)) await resource[Symbol.asyncDispose]();
  }
}
