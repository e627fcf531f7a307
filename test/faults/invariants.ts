/** What must hold after every fault, however the machines died and the links broke. */
import type { LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import type { LaunchedServer } from '@bonafide/testing/launch-server';
import { waitFor } from '@bonafide/testing/wait-for';
import { expect } from 'vitest';
import { identityOf } from './expected-entries.js';
import type { ObservedAgent } from './observed-agent.js';
import type { RegistryLoad } from './registry-load.js';
import type { TokenLoad } from './token-load.js';

interface InvariantsParts {
  readonly postgres: LaunchedPostgres;
  readonly database: string;
  readonly servers: readonly LaunchedServer[];
  readonly agents: readonly ObservedAgent[];
  /** `type:value`; entries with it are the ones that the observers of agents see. */
  readonly selector: string;
}

interface Loads {
  /** Stopped. */
  readonly entries: RegistryLoad;
  readonly tokens?: TokenLoad;
  /** Those that can reach a server; all unless told. */
  readonly agents?: readonly ObservedAgent[];
}

const CONVERGENCE_LIMIT_MS = 120_000;

export class Invariants {
  readonly #parts: InvariantsParts;
  /** When everybody agreed last. */
  #settledAtMs = 0;

  constructor(parts: InvariantsParts) {
    this.#parts = parts;
  }

  /** With everything up and healed, but what is told. @returns in how many milliseconds everybody agreed. */
  async check({ entries, tokens, agents = this.#parts.agents }: Loads): Promise<number> {
    const startedMs = performance.now();
    await this.#nothingAcknowledgedIsLost(entries);
    await this.#agentsHoldExactlyTheirs(entries, agents);
    const settledMs = performance.now() - startedMs;
    this.#noSvidIsOutsideItsEntry(entries);
    if (agents === this.#parts.agents) this.#settledAtMs = performance.now();
    if (tokens !== undefined) {
      await tokens.retry(6);
      expect(tokens.spentTwice).toEqual([]);
      for (const server of this.#parts.servers) expect(await tokens.forgotten(server)).toEqual([]);
      expect(tokens.problems).toEqual([]);
    }
    return Math.round(settledMs);
  }

  async #nothingAcknowledgedIsLost(entries: RegistryLoad): Promise<void> {
    const { postgres, database, servers } = this.#parts;
    // A server may still be on its way back to the database.
    const differences = await waitFor('the servers to list their entries', () => entries.differences(), {
      limitMs: CONVERGENCE_LIMIT_MS,
      explain: () => servers.map(({ process }) => process.output.slice(-2000)).join('\n'),
    });
    expect(differences).toEqual([]);
    const stored = (await postgres.query('select id from entries order by id', database)).split('\n');
    for (const server of servers) {
      const listed = (await entries.list(server)).map(({ id }) => id);
      expect(listed.filter((id) => !stored.includes(id))).toEqual([]);
    }
  }

  async #agentsHoldExactlyTheirs(entries: RegistryLoad, agents: readonly ObservedAgent[]): Promise<void> {
    const { servers, selector } = this.#parts;
    for (const server of servers) {
      const listed = await entries.list(server);
      for (const agent of agents) {
        const due = listed
          .filter(({ parentId }) => parentId?.path === agent.path)
          .filter(({ selectors }) => selectors.some(({ type, value }) => `${type}:${value}` === selector))
          .map(identityOf)
          .sort();
        await waitFor('an agent to hold exactly its entries', () => isSame(agent.present, due), {
          limitMs: CONVERGENCE_LIMIT_MS,
          explain: () =>
            `due: ${due.join('; ')}\nheld: ${agent.present.join('; ')}\n${agent.explain()}\n${servers
              .map(({ process }) => process.output.slice(-2000))
              .join('\n')}`,
        });
      }
    }
  }

  #noSvidIsOutsideItsEntry({ expected }: RegistryLoad): void {
    const objections = this.#parts.agents.flatMap((agent) =>
      [...agent.seenAtMs].flatMap(([certified, seenAtMs]) => {
        const objection = expected.objection(certified, agent.path, seenAtMs, this.#settledAtMs);
        return objection === undefined ? [] : [`${certified} at ${agent.path} ${objection}`];
      }),
    );
    expect(objections).toEqual([]);
  }
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((each, index) => each === others[index]);
}
