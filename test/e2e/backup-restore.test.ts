/** The server's data folder is lost, and the server comes back from a backup that was made while it was writing. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';

const { definition } = loadService('SpiffeWorkloadAPI');
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const NODE = 'spiffe://example.org/node';
const UID = process.getuid?.() ?? 0;
const LIMIT_MS = 60_000;
/** A machine may have much else to do. */
const READY_MS = 120_000;

describe('a server whose data folder is lost', { timeout: 600_000 }, () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;
  let workload: WorkloadProcess;
  const stops: (() => unknown)[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    server = await launchServer({ directory: directory.path, readyLimitMs: READY_MS });
    stops.push(() => server.stop());
    agent = await launchAgent({ server, directory: directory.path, spiffeId: NODE, readyLimitMs: READY_MS });
    stops.push(() => agent.stop());
    await writeFile(directory.join('passphrase'), 'a passphrase of this test\n', { mode: 0o600 });
    workload = await WorkloadProcess.start({ uid: UID, gid: UID });
    stops.push(() => {
      workload[Symbol.dispose]();
    });
    await workload.connect(agent.socketPath);
  });

  afterAll(async () => {
    // Whatever of it came to be.
    for (const stop of stops.reverse()) await stop();
    directory.remove();
  });

  function register(path: string, uid = UID): Promise<string> {
    return server.commandOutput(
      ...['entry', 'create', '--parent-id', NODE, '--spiffe-id', `spiffe://example.org${path}`],
      ...['--selector', `unix:uid:${uid}`],
    );
  }

  async function command(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand('server', args, { limitMs: LIMIT_MS });
    expect(code, stdout + stderr).toBe(0);
    return stdout;
  }

  let call: number | undefined;

  /** The latest on the one stream that the workload has open, from the first identity on; each is what it says it is. */
  async function identities(): Promise<readonly string[]> {
    call ??= workload.call(FETCH);
    const first = await workload.message(call).catch(() => undefined);
    const message = workload.messages(call).at(-1) ?? first;
    if (message === undefined) {
      call = undefined;
      return [];
    }
    return definition.FetchX509SVID.responseDeserialize(message).svids.map(({ spiffeId, x509Svid }) => {
      // The chain is certificates end to end; each says its own length in two bytes after 30 82.
      const leaf = x509Svid.subarray(0, 4 + x509Svid.readUInt16BE(2));
      expect(parseX509SvidLeaf(leaf).spiffeId).toBe(spiffeId);
      return spiffeId;
    });
  }

  async function holds(...paths: readonly string[]): Promise<void> {
    const wanted = paths.map((path) => `spiffe://example.org${path}`).sort();
    let seen: readonly string[] = [];
    await waitFor(
      `the workload to hold ${paths.join(', ')}`,
      async () => {
        seen = [...(await identities())].sort();
        return seen.join() === wanted.join() || undefined;
      },
      { limitMs: LIMIT_MS, explain: () => `it holds ${seen.join()}\n${agent.process.output.slice(-3000)}` },
    );
  }

  async function paths(): Promise<readonly string[]> {
    const { entries } = JSON.parse(await server.commandOutput('entry', 'show', '--output', 'json')) as {
      readonly entries: readonly { readonly spiffe_id: { readonly path: string } }[];
    };
    return entries.map(({ spiffe_id: { path } }) => path);
  }

  it('has all that was acknowledged before the backup, and its agents take what is true now', async () => {
    await register('/before');
    await holds('/before');
    const bundle = await server.commandOutput('bundle', 'show');
    // Somebody writes all the while.
    const acknowledged: string[] = [];
    const enough = new AbortController();
    const writing = (async () => {
      for (let index = 0; !enough.signal.aborted && index < 200; index += 1) {
        await register(`/written/${index}`, 60_000 + index);
        acknowledged.push(`/written/${index}`);
      }
    })();
    await waitFor('the first writes', () => acknowledged.length >= 2, { limitMs: LIMIT_MS });
    const promised = [...acknowledged];
    const backup = directory.join('server.backup');
    const keys = ['--include-keys', '--passphrase-file', directory.join('passphrase')];
    const said = await command('backup', '--config', server.configPath, '--output', backup, ...keys);
    expect(said).toMatch(/^Backup written to /);
    expect(said).toMatch(/^Keys\s+: yes, encrypted$/m);
    expect(await command('backup', 'verify', backup)).toMatch(/^Backup is whole\n/);
    enough.abort();
    await writing;
    // The agent is ahead of the backup from here on.
    await register('/after');
    await holds('/before', '/after');

    await server.kill9();
    await rm(directory.join('server'), { recursive: true });
    const restore = ['restore', '--input', backup, '--config', server.configPath];
    await command(...restore, '--passphrase-file', directory.join('passphrase'));
    await server.process.start();

    const restored = await paths();
    expect(restored).toEqual(expect.arrayContaining(['/before', ...promised]));
    expect(restored).not.toContain('/after');
    expect(await server.commandOutput('bundle', 'show')).toBe(bundle);
    // What the agent held of the lost database is gone, and nothing that is true is missed.
    await holds('/before');
    await register('/new');
    await holds('/before', '/new');
  });

  it('is refused a restore while it runs, into what is there, and of a damaged backup', async () => {
    const backup = directory.join('server.backup');
    const restore = (...more: readonly string[]): ReturnType<typeof runCommand> =>
      runCommand('server', ['restore', '--input', backup, '--config', server.configPath, ...more]);
    expect((await restore('--force')).stderr).toMatch(/^Error: .*in use by another server; stop that one/);
    await server.stop();
    expect((await restore()).stderr).toMatch(/^Error: the database .* is there already; .*--force\n$/);
    const bytes = await readFile(backup);
    const middle = Math.floor(bytes.length / 3);
    bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
    await writeFile(directory.join('damaged.backup'), bytes);
    const damaged = await runCommand('server', ['backup', 'verify', directory.join('damaged.backup')]);
    expect(damaged.code).toBe(1);
    expect(damaged.stderr).toMatch(/^Error: .*(damaged|is no backup)/);
    await server.process.start();
    await holds('/before', '/new');
  });
});
