/** The examples, as their readers run them: two processes, a Workload API each, and a rotation between greetings. */
import { join } from 'node:path';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { runProcess, type CommandResult } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SERVER = 'spiffe://example.org/greeter-server';
const CLIENT = 'spiffe://example.org/greeter-client';
const examples = join(import.meta.dirname, '..', '..', '..', 'examples', 'greeter');

let directory: TemporaryDirectory;
let authority: TestAuthority;
let serverApi: TestWorkloadApi;
let clientApi: TestWorkloadApi;
const processes: LaunchedProcess[] = [];

beforeEach(async () => {
  directory = createTemporaryDirectory();
  authority = await TestAuthority.create('example.org');
  serverApi = await TestWorkloadApi.start(directory.join('server.sock'));
  clientApi = await TestWorkloadApi.start(directory.join('client.sock'));
  await grant();
});

afterEach(async () => {
  for (const launched of processes.splice(0).reverse()) await launched.stop();
  await Promise.all([serverApi.stop(), clientApi.stop()]);
  directory.remove();
});

async function grant(): Promise<void> {
  serverApi.serve({ svids: [await authority.issueX509Svid(SERVER)], bundles: [authority.bundle()] });
  clientApi.serve({ svids: [await authority.issueX509Svid(CLIENT)], bundles: [authority.bundle()] });
}

async function launch(
  name: string,
  args: readonly string[],
  api: TestWorkloadApi,
  readyWhen: RegExp,
): Promise<LaunchedProcess> {
  const launched = await LaunchedProcess.launch({
    name,
    command: process.execPath,
    args: [join(examples, `${name}.mjs`), ...args],
    env: { SPIFFE_ENDPOINT_SOCKET: api.address },
    isReady: ({ output }) => readyWhen.test(output),
  });
  processes.push(launched);
  return launched;
}

async function launchGreeter(): Promise<{ readonly greeter: LaunchedProcess; readonly url: string }> {
  const greeter = await launch(
    'server',
    ['--client', CLIENT, '--port', '0'],
    serverApi,
    /^listening on (\S+)$/m,
  );
  return { greeter, url: /^listening on (\S+)$/m.exec(greeter.output)?.[1] ?? '' };
}

function callOnce(api: TestWorkloadApi, ...args: readonly string[]): Promise<CommandResult> {
  return runProcess(process.execPath, [join(examples, 'client.mjs'), '--once', ...args], {
    env: { SPIFFE_ENDPOINT_SOCKET: api.address },
  });
}

function greetings({ output }: LaunchedProcess): { readonly answered: number; readonly failed: number } {
  const [, answered = '0', failed = '0'] =
    [...output.matchAll(/^greetings (\d+) failed (\d+)/gm)].at(-1) ?? [];
  return { answered: Number(answered), failed: Number(failed) };
}

describe('the greeter example', () => {
  it('greets through rotations without a failure, and ends when it is asked to', async () => {
    const { greeter, url } = await launchGreeter();
    const client = await launch('client', ['--server', SERVER, '--url', url], clientApi, /^greetings [1-9]/m);
    for (let rotation = 1; rotation <= 3; rotation += 1) {
      await grant();
      const renewals = ({ output }: LaunchedProcess): number => output.match(/^renewed /gm)?.length ?? 0;
      await waitFor('both to renew', () => renewals(greeter) >= rotation && renewals(client) >= rotation);
      const { answered } = greetings(client);
      await waitFor('greetings after it', () => greetings(client).answered > answered + 10);
    }
    expect(greetings(client).failed).toBe(0);
    await client.stop();
    await greeter.stop();
    expect([client.exitCode, greeter.exitCode]).toEqual([0, 0]);
  });

  it('refuses in both directions whoever is not the one meant', async () => {
    const { greeter, url } = await launchGreeter();
    const right = await callOnce(clientApi, '--server', SERVER, '--url', url);
    expect(right).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`hello ${CLIENT}, I am ${SERVER}`) as string,
    });
    const wrongServer = await callOnce(clientApi, '--server', 'spiffe://example.org/other', '--url', url);
    expect(wrongServer.code).toBe(1);
    expect(wrongServer.stderr).toContain(`the peer is ${SERVER}; expected spiffe://example.org/other`);
    const wrongClient = await callOnce(serverApi, '--server', SERVER, '--url', url);
    expect(wrongClient.code).toBe(1);
    await waitFor('the greeter to tell', () =>
      greeter.output.includes(`refused a client: the peer is ${SERVER}; expected ${CLIENT}`),
    );
  });

  it('waits for its identity although nothing else keeps the process alive, and gives up when told to', async () => {
    await clientApi.stop();
    const { code, stderr } = await callOnce(clientApi, '--server', SERVER, '--wait', '2');
    expect(code).toBe(1);
    expect(stderr).toContain('no identity: no X.509-SVID within 2000 ms');
  });
});
