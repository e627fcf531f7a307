import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  hasSpire,
  launchSpireAgent,
  launchSpireServer,
  NEEDS_SPIRE,
  type SpireProgram,
  type SpireServer,
} from './spire-programs.js';

/** How much of each kind the tests make at SPIRE. */
const EVERYTHING = {
  ...{ bundles: 2, federation_relationships: 1, entries: 2 },
  ...{ agents: 1, join_tokens: 0, authorities: 2 },
};
const UID = `unix:uid:${process.getuid?.() ?? 0}`;

describe.runIf(hasSpire)(`a SPIRE server that is taken over ${NEEDS_SPIRE}`, () => {
  let directory: TemporaryDirectory;
  let spire: SpireServer;
  let agent: SpireProgram;
  let server: LaunchedServer | undefined;
  let agentId: string;
  let before: readonly X509Certificate[];
  const limit = { limitMs: 120_000, intervalMs: 250, explain: (): string => agent.process.output };

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    spire = await launchSpireServer(directory.path, 'agent_ttl = "3m" default_x509_svid_ttl = "10m"');
    const bundlePath = directory.join('bundle.pem');
    const bundle = await spire.program.command('bundle', 'show');
    await writeFile(bundlePath, bundle);
    const joinToken = /^Token: (\S+)/m.exec(await spire.program.command('token', 'generate'))?.[1] ?? '';
    agentId = `spiffe://example.org/spire/agent/join_token/${joinToken}`;
    await spire.program.command('bundle', 'set', '-id', 'spiffe://other.example', '-path', bundlePath);
    const endpoint = [
      '-bundleEndpointURL',
      'https://other.example/bundle',
      '-bundleEndpointProfile',
      'https_web',
    ];
    await spire.program.command('federation', 'create', '-trustDomain', 'other.example', ...endpoint);
    await createAtSpire(
      'first',
      '-federatesWith',
      'spiffe://other.example',
      '-hint',
      'main',
      '-x509SVIDTTL',
      '600',
    );
    agent = await launchSpireAgent({
      directory: directory.path,
      serverPort: spire.port,
      bundlePath,
      joinToken,
    });
    await waitFor('the SVID', async () => (await fetched()).includes('spiffe://example.org/first'), limit);
    before = await fetchedChain();
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await agent[Symbol.asyncDispose]();
    await spire.program[Symbol.asyncDispose]();
    directory.remove();
  });

  it('shows no difference beside its copy, and then the one that was made', async () => {
    await importInto('shadow');
    await using shadow = await launchServer({ directory: directory.path, name: 'shadow' });
    const socket = directory.join('spire-server.sock');
    const look = ['shadow', '--spire-socket', socket, '--once', '--interval', '1'];
    const same = await shadow.command(...look);
    expect(same.stdout).toBe('No differences in 1 entries and 1 agents.\n');
    expect(same.code).toBe(0);
    const id = await createAtSpire('second');
    const different = await shadow.command(...look, '--output', 'json');
    expect(different.code).toBe(1);
    const expected = { kind: 'entry', name: id, what: 'missing', detail: 'spiffe://example.org/second' };
    expect((JSON.parse(different.stdout) as { readonly differences: unknown }).differences).toEqual([
      { ...expected, fields: [], agents: [agentId] },
    ]);
  });

  it('is carried over by its admin socket too, without what only its datastore tells', async () => {
    const socket = directory.join('spire-server.sock');
    const { stdout, stderr } = await importFrom(['--socket', socket], 'by-socket', '--output', 'json');
    expect(stderr).toBe('');
    const { counts, not_carried: notCarried } = JSON.parse(stdout) as Report;
    expect(createdOf(counts)).toEqual({ ...EVERYTHING, authorities: 0 });
    expect(notCarried.map(({ kind }) => kind)).toEqual(['join_tokens', 'agents', 'authorities']);
    expect((await importFrom(['--socket', socket], 'by-socket')).stdout).toContain('Nothing to change.');
    // What the datastore has is the same, but for its authorities.
    const { stdout: compared } = await importInto('by-socket', '--dry-run');
    expect(compared).toContain('entries                   : 0 created, 0 updated, 2 unchanged, 0 only here');
    expect(compared).toContain('agents                    : 0 created, 0 updated, 1 unchanged, 0 only here');
    expect(compared).toContain('bundles                   : 0 created, 0 updated, 2 unchanged, 0 only here');
    expect(compared).toContain('authorities               : 2 created');
  });

  it('tells in a dry run what would come, and changes nothing', async () => {
    const { code, stdout } = await importInto('server', '--dry-run');
    expect(stdout).toContain('entries                   : 2 created, 0 updated, 0 unchanged, 0 only here');
    expect(stdout).toContain('Dry run: nothing was changed.');
    expect(code).toBe(0);
  });

  it('is carried over whole, and a second time without a change', async () => {
    await spire.program.process.stop();
    const { stdout } = await importInto('server', '--output', 'json');
    const { counts, not_carried: notCarried } = JSON.parse(stdout) as Report;
    expect(createdOf(counts)).toEqual(EVERYTHING);
    expect(notCarried).toEqual([]);
    expect((await importInto('server')).stdout).toContain('Nothing to change.');
  });

  it('is gone on with under the same authority: its agent attests no second time', async () => {
    const config = { server: { bind_port: spire.port, agent_ttl: '60s' } };
    server = await launchServer({ directory: directory.path, config });
    const running = server;
    const data = { spiffe_id: 'spiffe://example.org/third', parent_id: agentId };
    const flags = ['--spiffe-id', data.spiffe_id, '--parent-id', data.parent_id, '--selector', UID];
    await running.commandOutput('entry', 'create', ...flags);
    await waitFor(
      'the new entry',
      async () => (await fetched()).includes('spiffe://example.org/third'),
      limit,
    );
    const show = await running.commandOutput('localauthority', 'x509', 'show');
    expect(show).toContain(before[0]?.authorityKeyId);
    const after = await fetchedChain();
    expect(new Set(after.map(({ authorityKeyId }) => authorityKeyId))).toEqual(
      new Set([before[0]?.authorityKeyId]),
    );
    expect(agent.process.output.match(/Node attestation was successful/g)).toHaveLength(1);
  });

  it('left SVIDs that our bundle verifies', async () => {
    const bundle = (await server?.commandOutput('bundle', 'show')) ?? '';
    const authorities = decodePem('CERTIFICATE', bundle);
    for (const { der } of before) {
      expect(() => verifyX509Svid({ chain: [der], authorities, now: new Date() })).not.toThrow();
    }
  });

  it('left entries that can be changed: its agent hears of it', async () => {
    const listed = JSON.parse((await server?.commandOutput('entry', 'show', '--output', 'json')) ?? '') as {
      readonly entries: readonly { readonly id: string; readonly spiffe_id: { readonly path: string } }[];
    };
    const id = listed.entries.find((entry) => entry.spiffe_id.path === '/first')?.id ?? '';
    const flags = ['--spiffe-id', 'spiffe://example.org/renamed', '--parent-id', agentId, '--selector', UID];
    await server?.commandOutput('entry', 'update', '--entry-id', id, ...flags);
    await waitFor(
      'the change',
      async () => (await fetched()).includes('spiffe://example.org/renamed'),
      limit,
    );
    await waitFor('the end of the old one', async () => !(await fetched()).includes('/first'), limit);
  });

  it('left an agent that renews its own SVID here', async () => {
    const { length } = agent.process.output;
    const renewed = (): boolean =>
      agent.process.output.slice(length).includes('Successfully rotated agent SVID');
    await waitFor('a renewal', renewed, { ...limit, limitMs: 200_000 });
    expect(agent.process.output.match(/Node attestation was successful/g)).toHaveLength(1);
  });

  it('is not imported into a server that runs', async () => {
    const { code, stderr } = await importInto('server');
    expect(stderr).toContain('is in use by another server');
    expect(code).toBe(1);
  });

  interface Report {
    readonly counts: Readonly<Record<string, { readonly created: number }>>;
    readonly not_carried: readonly { readonly kind: string }[];
  }

  function createdOf(counts: Report['counts']): Readonly<Record<string, number>> {
    return Object.fromEntries(Object.entries(counts).map(([kind, { created }]) => [kind, created]));
  }

  function importInto(name: string, ...more: readonly string[]): ReturnType<typeof importFrom> {
    const data = directory.join('spire-server');
    const source = ['--datastore', join(data, 'db.sqlite3'), '--keys', join(data, 'keys.json')];
    return importFrom(source, name, ...more);
  }

  async function importFrom(
    source: readonly string[],
    name: string,
    ...more: readonly string[]
  ): Promise<Awaited<ReturnType<typeof runCommand>>> {
    const data = directory.join(name);
    const config = directory.join(`import-${name}.json`);
    const keys = { disk: { keys_path: join(data, 'keys.json') } };
    await writeFile(
      config,
      JSON.stringify({
        server: { trust_domain: 'example.org', data_dir: data },
        plugins: { KeyManager: keys, NodeAttestor: { join_token: {} } },
      }),
    );
    return runCommand('server', ['import', 'spire', ...source, '--config', config, ...more], {
      limitMs: 150_000,
    });
  }

  async function createAtSpire(path: string, ...more: readonly string[]): Promise<string> {
    const flags = ['-parentID', agentId, '-spiffeID', `spiffe://example.org/${path}`, '-selector', UID];
    const printed = await spire.program.command('entry', 'create', ...flags, ...more);
    return /^Entry ID\s+: (\S+)/m.exec(printed)?.[1] ?? '';
  }

  function fetched(): Promise<string> {
    return agent.command('api', 'fetch', 'x509', '-timeout', '20s');
  }

  /** The first certificate of each SVID. */
  async function fetchedChain(): Promise<readonly X509Certificate[]> {
    const printed = await agent.command('api', 'fetch', 'x509', '-timeout', '20s', '-write', directory.path);
    const count = [...printed.matchAll(/^SPIFFE ID:/gm)].length;
    const leaves: X509Certificate[] = [];
    for (let index = 0; index < count; index += 1) {
      const pem = await readFile(directory.join(`svid.${index}.pem`), 'utf8');
      const [leaf] = decodePem('CERTIFICATE', pem);
      if (leaf !== undefined) leaves.push(parseX509Certificate(leaf));
    }
    return leaves;
  }
});
