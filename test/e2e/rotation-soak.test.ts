/** TTLs of seconds, every authority rotating, one of each tainted and revoked: twenty workloads on three nodes call each other and nothing fails. */
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it, onTestFinished } from 'vitest';
import { programOf } from '../faults/calling-workloads.js';
import { SoakWorkload } from './soak/soak-workload.js';

const AGENTS = 3;
const WORKLOADS = 20;
const X509_SVID_SECONDS = 20;
const JWT_SVID_SECONDS = 20;
/** The next authority is made after half of it and signs after five sixths. */
const AUTHORITY_SECONDS = 60;
/** Between the calls of a workload. */
const PAUSE_MS = 800;
const KINDS = ['x509', 'jwt'] as const;
type Kind = (typeof KINDS)[number];

interface AuthorityStates {
  readonly active: { readonly authority_id: string };
}

class Operator {
  readonly #server: LaunchedServer;

  constructor(server: LaunchedServer) {
    this.#server = server;
  }

  async active(kind: Kind): Promise<string> {
    return (await this.#states(kind)).active.authority_id;
  }

  /** Again when the server's own rotation came in between. @returns the authority that signed until now. */
  async replace(kind: Kind): Promise<string> {
    for (let attempt = 1; ; attempt += 1) {
      const replaced = await this.active(kind);
      const { prepared_authority: prepared } = (await this.#run(kind, 'prepare')) as {
        readonly prepared_authority: { readonly authority_id: string };
      };
      try {
        await this.#run(kind, 'activate', '--authority-id', prepared.authority_id);
        return replaced;
      } catch (error) {
        if (attempt === 3 || !String(error).includes('unexpected authority ID')) throw error;
      }
    }
  }

  async taint(kind: Kind, authorityId: string): Promise<void> {
    await this.#run(kind, 'taint', '--authority-id', authorityId);
  }

  async revoke(kind: Kind, authorityId: string): Promise<void> {
    await this.#run(kind, 'revoke', '--authority-id', authorityId);
  }

  async #states(kind: Kind): Promise<AuthorityStates> {
    return (await this.#run(kind, 'show')) as AuthorityStates;
  }

  async #run(kind: Kind, ...args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.#server.commandOutput('localauthority', kind, ...args, '--output', 'json'));
  }
}

async function register(server: LaunchedServer, agent: LaunchedAgent, workload: Workload): Promise<void> {
  await server.commandOutput(
    ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', workload.id],
    ...['--selector', `unix:path:${workload.program}`],
    ...['--x509-svid-ttl', `${X509_SVID_SECONDS}`, '--jwt-svid-ttl', `${JWT_SVID_SECONDS}`],
  );
}

interface Workload {
  readonly id: string;
  readonly program: string;
  readonly agent: LaunchedAgent;
}

describe('a soak of rotations', () => {
  it('fails no request and no token while authorities come, go, are tainted and revoked', async ({
    annotate,
  }) => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { ca_ttl: `${AUTHORITY_SECONDS}s`, agent_ttl: '30s', log_level: 'INFO' } },
    });
    const agents: LaunchedAgent[] = [];
    for (let index = 0; index < AGENTS; index += 1) {
      const agent = await launchAgent({ server, directory: directory.path, name: `agent${index}` });
      onTestFinished(() => agent.stop());
      agents.push(agent);
    }
    const planned = Array.from({ length: WORKLOADS }, (_, index): Workload => {
      const agent = agents[index % AGENTS];
      if (agent === undefined) throw new Error('there are agents');
      const id = `spiffe://${server.trustDomain}/soak/${index}`;
      return { id, program: programOf(`soak${index}`, directory.path), agent };
    });
    for (const workload of planned) await register(server, workload.agent, workload);
    const workloads = planned.map(
      ({ id, program, agent }) => new SoakWorkload(id, program, agent.address, PAUSE_MS),
    );
    onTestFinished(() => {
      for (const workload of workloads) workload[Symbol.dispose]();
    });
    const peers = await Promise.all(workloads.map((workload) => workload.peer()));
    for (const workload of workloads) workload.call(peers);
    const lastWords = (): string => workloads.map((workload) => workload.lastWords()).join('\n');
    const keepCalling = async (times: number): Promise<void> => {
      const targets = workloads.map(({ answered }) => answered + times);
      await waitFor(
        `each workload to be answered ${times} times more`,
        () => workloads.every(({ answered }, index) => answered >= (targets[index] ?? 0)),
        { limitMs: 150_000, explain: lastWords },
      );
    };
    await keepCalling(3);

    const operator = new Operator(server);
    const former = new Set(workloads.map(({ issuer }) => issuer));
    const replaced = { x509: await operator.replace('x509'), jwt: await operator.replace('jwt') };

    // Whoever has stolen the keys has until here: every SVID that they signed is replaced by push.
    const exposed = (): number => workloads.filter(({ issuer }) => former.has(issuer)).length;
    const taintedAt = performance.now();
    for (const kind of KINDS) await operator.taint(kind, replaced[kind]);
    await waitFor('no workload to have an X.509-SVID of the old authority', () => exposed() === 0, {
      limitMs: 60_000,
      intervalMs: 20,
      explain: lastWords,
    });
    const tookMs = Math.round(performance.now() - taintedAt);
    await annotate(`no X.509-SVID of the tainted authority ${tookMs} ms after it was tainted`);

    // Tokens that were handed out before the taint end by themselves.
    await new Promise((resolve) => setTimeout(resolve, JWT_SVID_SECONDS * 1000));
    for (const kind of KINDS) await operator.revoke(kind, replaced[kind]);
    await keepCalling(5);

    // And once more by time alone.
    const second = { x509: await operator.active('x509'), jwt: await operator.active('jwt') };
    for (const kind of KINDS) {
      await waitFor(
        `the next ${kind} authority to sign`,
        async () => (await operator.active(kind)) !== second[kind],
        { limitMs: 3 * AUTHORITY_SECONDS * 1000, intervalMs: 1000 },
      );
    }
    await keepCalling(Math.ceil((X509_SVID_SECONDS * 1000) / PAUSE_MS));

    await Promise.all(workloads.map((workload) => workload.stop()));
    expect(lastWords()).toBe(workloads.map(() => '').join('\n'));
    expect(workloads.map(({ failed }) => failed)).toEqual(workloads.map(() => 0));
    const answered = workloads.reduce((total, workload) => total + workload.answered, 0);
    const identities = workloads.reduce((total, { serialNumbers }) => total + serialNumbers.size, 0);
    const signers = new Set(workloads.flatMap(({ keyIds }) => keyIds));
    expect(signers.size).toBeGreaterThanOrEqual(3);
    await annotate(
      `${answered} requests, ${identities} X.509-SVIDs, tokens of ${signers.size} authorities, no failure`,
    );
  }, 600_000);
});
