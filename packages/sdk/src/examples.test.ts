/** The examples of this package, as their readers run them: processes with a Workload API on a Unix socket. */
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { runProcess, type CommandResult } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { jwkSets, jwtResponse, TestTokenApi } from '@bonafide/testing/test-token-api';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { toResponse } from '@bonafide/testing/test-workload-api';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SERVER = 'spiffe://example.org/server';
const CLIENT = 'spiffe://example.org/client';
const AUDIENCE = 'spiffe://example.org/billing';
const LIMIT_MS = 120_000;
const examples = join(import.meta.dirname, '..', 'examples');
const tokens = TestTokenAuthority.create('example.org');

let directory: TemporaryDirectory;
let authority: TestAuthority;
let serverApi: TestTokenApi;
let clientApi: TestTokenApi;
const processes: LaunchedProcess[] = [];

beforeEach(async () => {
  directory = createTemporaryDirectory();
  authority = await TestAuthority.create('example.org');
  serverApi = await grant(SERVER);
  clientApi = await grant(CLIENT);
});

afterEach(async () => {
  for (const launched of processes.splice(0)) await launched.stop();
  await Promise.all([serverApi.stop(), clientApi.stop()]);
  directory.remove();
});

/** A Workload API for one workload. */
async function grant(id: string): Promise<TestTokenApi> {
  const api = await TestTokenApi.start(directory.join(`${id.slice(id.lastIndexOf('/') + 1)}.sock`));
  const svids = [await authority.issueX509Svid(id)];
  api.answer('FetchX509SVID', toResponse({ svids, bundles: [authority.bundle()] }));
  api.answer('FetchX509Bundles', { bundles: { 'spiffe://example.org': authority.certificate } });
  const keys = Object.entries(jwkSets(tokens)).map(([name, text]) => [name, Buffer.from(text)] as const);
  api.answer('FetchJWTBundles', { bundles: Object.fromEntries(keys) });
  api.answer('FetchJWTSVID', jwtResponse(await tokens.issueJwtSvid('/client', [AUDIENCE])));
  api.refuse('FetchWITBundles', status.UNIMPLEMENTED);
  return api;
}

async function launch(file: string, api: TestTokenApi, ...args: readonly string[]): Promise<LaunchedProcess> {
  const launched = await LaunchedProcess.launch({
    name: file,
    command: process.execPath,
    args: [join(examples, file), ...args],
    env: { SPIFFE_ENDPOINT_SOCKET: api.address },
    isReady: ({ output }) => output.includes('\n'),
  });
  processes.push(launched);
  return launched;
}

function run(file: string, api: TestTokenApi, ...args: readonly string[]): Promise<CommandResult> {
  return runProcess(process.execPath, [join(examples, file), ...args], {
    env: { SPIFFE_ENDPOINT_SOCKET: api.address },
    limitMs: LIMIT_MS,
  });
}

describe('the examples', { timeout: LIMIT_MS * 2 }, () => {
  it('express and fetch: one knows who the other is, and who is not meant gets nothing', async () => {
    const { output } = await launch(
      'express/server.mjs',
      serverApi,
      '--trust-domain',
      'example.org',
      '--port',
      '0',
    );
    const url = /https:\S+/.exec(output)?.[0] ?? '';
    const right = await run('fetch/client.mjs', clientApi, '--server', SERVER, '--url', url);
    expect(right).toMatchObject({ code: 0, stdout: `200 hello ${CLIENT}\n` });
    const wrong = await run(
      'fetch/client.mjs',
      clientApi,
      '--server',
      'spiffe://example.org/x',
      '--url',
      url,
    );
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain(`the peer is ${SERVER}; expected spiffe://example.org/x`);
  });

  it('grpc: a method for one reader', async () => {
    const { output } = await launch('grpc/server.mjs', serverApi, '--reader', CLIENT, '--port', '0');
    const target = /[\d.]+:\d+/.exec(output)?.[0] ?? '';
    const right = await run('grpc/client.mjs', clientApi, '--server', SERVER, '--target', target);
    expect(right).toMatchObject({ code: 0, stdout: `${CLIENT} reads 12\n` });
    const wrong = await run('grpc/client.mjs', serverApi, '--server', SERVER, '--target', target);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain(`expected ${CLIENT}`);
  });

  it('jwt: fetched, and verified for its audience alone', async () => {
    const { code, stdout } = await run('jwt/call-yourself.mjs', clientApi, '--audience', AUDIENCE);
    expect(code).toBe(0);
    expect(stdout).toMatch(`${CLIENT} for ${AUDIENCE}\nelsewhere: `);
  });

  it('bundles: watched', async () => {
    const watcher = await launch('bundles/watch.mjs', clientApi);
    expect(watcher.output).toContain('example.org x509 1 jwt 1 wit 0\n');
    const foreign = await TestAuthority.create('foreign.test');
    clientApi.answer('FetchX509Bundles', {
      bundles: {
        'spiffe://example.org': authority.certificate,
        'spiffe://foreign.test': foreign.certificate,
      },
    });
    await waitFor('the federated bundle', () => watcher.output.includes('foreign.test x509 1 jwt 0 wit 0\n'));
  });
});
