/** The two other roads of docs/migration-from-spire.md with SPIRE's own programs: back to SPIRE, and over without its keys. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { launchServer } from '@bonafide/testing/launch-server';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  hasSpire,
  launchSpireAgent,
  launchSpireServer,
  NEEDS_SPIRE,
  SpireProgram,
  type SpireServer,
} from './spire-programs.js';

const UID = `unix:uid:${process.getuid?.() ?? 0}`;
const LIMIT_MS = 300_000;

describe.runIf(hasSpire)(`agents of SPIRE ${NEEDS_SPIRE}`, () => {
  let directory: TemporaryDirectory;
  let spire: SpireServer;
  let agent: SpireProgram;
  let agentId: string;
  const limit = { limitMs: 120_000, intervalMs: 250, explain: (): string => agent.process.output };

  beforeEach(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    spire = await launchSpireServer(directory.path, 'default_x509_svid_ttl = "10m"');
    const bundlePath = directory.join('bundle.pem');
    await writeFile(bundlePath, await spire.program.command('bundle', 'show'));
    const joinToken = /^Token: (\S+)/m.exec(await spire.program.command('token', 'generate'))?.[1] ?? '';
    agentId = `spiffe://example.org/spire/agent/join_token/${joinToken}`;
    await spire.program.command('entry', 'create', ...entryFlags('-', 'first'));
    const options = { directory: directory.path, serverPort: spire.port, bundlePath, joinToken };
    agent = await launchSpireAgent(options);
    await delivered('first');
  }, LIMIT_MS);
  afterEach(async () => {
    await agent[Symbol.asyncDispose]();
    await spire.program[Symbol.asyncDispose]();
    directory.remove();
  });

  it(
    'go back to SPIRE with what was signed here, as long as they have not renewed their own SVID',
    async () => {
      await spire.program.process.stop();
      await importWith('--keys', directory.join('spire-server', 'keys.json'));
      let here: readonly Buffer[];
      {
        const config = { server: { bind_port: spire.port } };
        await using server = await launchServer({ directory: directory.path, config });
        await server.commandOutput('entry', 'create', ...entryFlags('--', 'made-here'));
        await delivered('made-here');
        here = await fetchedLeaves();
      }
      const program = await SpireProgram.launch(
        'spire-server',
        directory.join('server.conf'),
        directory.join('spire-server.sock'),
      );
      spire = { ...spire, program };
      expectVerified(here, await program.command('bundle', 'show'));
      // Entries made here have to be made there: whoever had one loses it.
      await waitFor('the end of the entry', async () => !(await fetched()).includes('/made-here'), limit);
      await program.command('entry', 'create', ...entryFlags('-', 'made-there'));
      await delivered('made-there');
      expect(attestations()).toBe(1);
    },
    LIMIT_MS,
  );

  it(
    'come over without its keys, once SPIRE has published our authority',
    async () => {
      const before = await fetchedLeaves();
      const ours = directory.join('ours.json');
      await importWith();
      {
        await using server = await launchServer({ directory: directory.path });
        await writeFile(ours, await server.commandOutput('bundle', 'show', '--format', 'spiffe'));
        const socket = ['--socket-path', directory.join('spire-server.sock')];
        const append = ['bundle', 'append', '--format', 'spiffe', '--path', ours, ...socket];
        const { code, stdout } = await runCommand('server', append);
        expect(stdout).toBe('bundle appended.\n');
        expect(code).toBe(0);
        const [authority] = decodePem('CERTIFICATE', await server.commandOutput('bundle', 'show')).slice(-1);
        await waitFor(
          'our authority at the agent',
          async () => (await knownAuthorities()).some((der) => authority?.equals(der)),
          limit,
        );
      }
      await spire.program.process.stop();
      await importWith();
      const config = { server: { bind_port: spire.port } };
      await using server = await launchServer({ directory: directory.path, config });
      await server.commandOutput('entry', 'create', ...entryFlags('--', 'made-here'));
      await delivered('made-here');
      const bundle = await server.commandOutput('bundle', 'show');
      expectVerified([...before, ...(await fetchedLeaves())], bundle);
      expect(attestations()).toBe(1);
    },
    LIMIT_MS,
  );

  /** In the spelling of either program. */
  function entryFlags(dash: '-' | '--', path: string): readonly string[] {
    const names =
      dash === '-' ? ['-parentID', '-spiffeID', '-selector'] : ['--parent-id', '--spiffe-id', '--selector'];
    const values = [agentId, `spiffe://example.org/${path}`, UID];
    return names.flatMap((name, index) => [name, values[index] ?? '']);
  }

  async function importWith(...more: readonly string[]): Promise<void> {
    const data = directory.join('server');
    const config = directory.join('import.json');
    const plugins = {
      KeyManager: { disk: { keys_path: join(data, 'keys.json') } },
      NodeAttestor: { join_token: {} },
    };
    await writeFile(
      config,
      JSON.stringify({ server: { trust_domain: 'example.org', data_dir: data }, plugins }),
    );
    const source = ['--datastore', directory.join('spire-server', 'db.sqlite3')];
    const { code, stderr } = await runCommand(
      'server',
      ['import', 'spire', ...source, ...more, '--config', config],
      { limitMs: 60_000 },
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
  }

  function expectVerified(leaves: readonly Buffer[], bundle: string): void {
    const authorities = decodePem('CERTIFICATE', bundle);
    expect(leaves.length).toBeGreaterThan(0);
    for (const der of leaves) {
      expect(() => verifyX509Svid({ chain: [der], authorities, now: new Date() })).not.toThrow();
    }
  }

  function attestations(): number {
    return agent.process.output.split('Node attestation was successful').length - 1;
  }

  async function delivered(path: string): Promise<void> {
    const id = `spiffe://example.org/${path}`;
    await waitFor(id, async () => (await fetched()).includes(id), limit);
  }

  function fetched(): Promise<string> {
    return agent.command('api', 'fetch', 'x509', '-timeout', '20s', '-write', directory.path);
  }

  async function fetchedLeaves(): Promise<readonly Buffer[]> {
    const count = [...(await fetched()).matchAll(/^SPIFFE ID:/gm)].length;
    const leaves = Array.from({ length: count }, async (_, index) => {
      const pem = await readFile(directory.join(`svid.${index}.pem`), 'utf8');
      return decodePem('CERTIFICATE', pem).slice(0, 1);
    });
    return (await Promise.all(leaves)).flat();
  }

  async function knownAuthorities(): Promise<readonly Buffer[]> {
    await fetched();
    return decodePem('CERTIFICATE', await readFile(directory.join('bundle.0.pem'), 'utf8'));
  }
});
