/** The examples of the sdk beside a real server and agent, each a process of its own, as their readers run them. */
import { join } from 'node:path';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { runProcess, type CommandResult } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const APP = 'spiffe://example.org/app';
const STRANGER = 'spiffe://example.org/stranger';
const LIMIT_MS = 180_000;
const examples = join(import.meta.dirname, '..', '..', 'packages', 'sdk', 'examples');

const directory = createTemporaryDirectory();
const processes: LaunchedProcess[] = [];
let server: LaunchedServer;
let agent: LaunchedAgent;
let bundleUrl: string;

beforeAll(async () => {
  const port = await findFreePort();
  bundleUrl = `https://127.0.0.1:${port}/`;
  server = await launchServer({
    directory: directory.path,
    config: {
      server: {
        federation: {
          bundle_endpoint: { address: '127.0.0.1', port, refresh_hint: '1h', profile: { https_spiffe: {} } },
        },
      },
    },
  });
  agent = await launchAgent({ server, directory: directory.path });
  await server.commandOutput(
    ...['entry', 'create', '--parent-id', agent.spiffeId, '--spiffe-id', APP],
    ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`],
  );
}, LIMIT_MS);

afterEach(async () => {
  for (const launched of processes.splice(0)) await launched.stop();
});

afterAll(async () => {
  await agent.stop();
  await server.stop();
  directory.remove();
}, LIMIT_MS);

/** Ready with its first line, which none of them says before it has its identity. */
async function launch(file: string, ...args: readonly string[]): Promise<LaunchedProcess> {
  const launched = await LaunchedProcess.launch({
    name: file,
    command: process.execPath,
    args: [join(examples, file), ...args],
    env: { SPIFFE_ENDPOINT_SOCKET: agent.address },
    isReady: ({ output }) => output.includes('\n'),
    readyLimitMs: LIMIT_MS / 2,
  });
  processes.push(launched);
  return launched;
}

function run(file: string, ...args: readonly string[]): Promise<CommandResult> {
  const env = { SPIFFE_ENDPOINT_SOCKET: agent.address };
  return runProcess(process.execPath, [join(examples, file), ...args], { env, limitMs: LIMIT_MS / 2 });
}

describe('the examples of the sdk', { timeout: LIMIT_MS }, () => {
  it('express and fetch', async () => {
    const { output } = await launch('express/server.mjs', '--trust-domain', 'example.org', '--port', '0');
    const url = /https:\S+/.exec(output)?.[0] ?? '';
    expect(await run('fetch/client.mjs', '--server', APP, '--url', url)).toMatchObject({
      code: 0,
      stdout: `200 hello ${APP}\n`,
    });
    const wrong = await run('fetch/client.mjs', '--server', STRANGER, '--url', url);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain(`the peer is ${APP}; expected ${STRANGER}`);
  });

  it('grpc', async () => {
    const { output } = await launch('grpc/server.mjs', '--reader', APP, '--port', '0');
    const target = /[\d.]+:\d+/.exec(output)?.[0] ?? '';
    expect(await run('grpc/client.mjs', '--server', APP, '--target', target)).toMatchObject({
      code: 0,
      stdout: `${APP} reads 12\n`,
    });
    const strict = await launch('grpc/server.mjs', '--reader', STRANGER, '--port', '0');
    const other = /[\d.]+:\d+/.exec(strict.output)?.[0] ?? '';
    const refused = await run('grpc/client.mjs', '--server', APP, '--target', other);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`expected ${STRANGER}`);
  });

  it('jwt', async () => {
    const audience = 'spiffe://example.org/billing';
    const { code, stdout } = await run('jwt/call-yourself.mjs', '--audience', audience);
    expect(code).toBe(0);
    expect(stdout).toMatch(`${APP} for ${audience}\nelsewhere: `);
  });

  it('bundles', async () => {
    const watcher = await launch('bundles/watch.mjs');
    expect(watcher.output).toMatch(/^example\.org x509 1 jwt [1-9]/m);
  });

  it('federation: the server’s own bundle endpoint, known by its SPIFFE ID and by no other', async () => {
    const from = ['--trust-domain', 'example.org', '--url', bundleUrl];
    const watcher = await launch(
      'federation/watch.mjs',
      ...from,
      '--endpoint-id',
      'spiffe://example.org/spire/server',
    );
    await waitFor('the bundle', () => /^example\.org number \d+ x509 1 jwt [1-9]/m.test(watcher.output), {
      explain: () => watcher.output,
    });
    const wrong = await launch('federation/watch.mjs', ...from, '--endpoint-id', STRANGER);
    expect(wrong.output).toContain(`it is spiffe://example.org/spire/server; expected ${STRANGER}`);
    await watcher.stop();
    expect(watcher.exitCode).toBe(0);
  });
});
