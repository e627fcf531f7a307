import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { findFreePort } from '@bonafide/testing/free-port';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runAgentProgram } from '../program.js';

const LIMIT_MS = 60_000;
const authority = await TestAuthority.create('example.org');
const bundles = [authority.bundle()];

let directory: TemporaryDirectory;
let api: TestWorkloadApi;
let svid: string;
let stop: AbortController;
let runs: Promise<number>[];
beforeEach(async () => {
  directory = createTemporaryDirectory();
  svid = directory.join('svid');
  api = await TestWorkloadApi.start(directory.join('api.sock'));
  stop = new AbortController();
  runs = [];
  await serve();
});
afterEach(async () => {
  stop.abort();
  await Promise.all(runs);
  await api.stop();
  directory.remove();
});

/** @returns the serial number of the new SVID, as files have it. */
async function serve(options: Parameters<TestAuthority['issueX509Svid']>[1] = {}): Promise<string> {
  const issued = await authority.issueX509Svid('/web', options);
  api.serve({ svids: [issued], bundles });
  return new X509Certificate(issued.certificateChain[0] ?? '').serialNumber;
}

function writtenSerial(): string {
  return new X509Certificate(readFileSync(`${svid}/svid.pem`)).serialNumber;
}

function run(...args: readonly string[]): { readonly code: Promise<number>; readonly said: () => string } {
  const host = createRecordedHost({ stopSignal: stop.signal });
  const code = runAgentProgram(
    ['helper', '--socket-path', api.socketPath, '--log-level', 'ERROR', ...args],
    host,
  );
  runs.push(code);
  return { code, said: () => host.printed.stderr };
}

function runFile(config: object): ReturnType<typeof run> {
  const path = directory.join('helper.json');
  writeFileSync(path, JSON.stringify({ cert_dir: svid, ...config }));
  return run('--config', path);
}

describe('helper --once', () => {
  it('writes the files and ends, and finds nothing to do the second time', async () => {
    const serial = await serve();
    expect(await run('--cert-dir', svid, '--once').code).toBe(0);
    expect(writtenSerial()).toBe(serial);
    const before = statSync(`${svid}/svid.pem`).ino;
    expect(await run('--cert-dir', svid, '--once').code).toBe(0);
    expect(statSync(`${svid}/svid.pem`).ino).toBe(before);
  });

  it('ends with an error and no files when there is no identity, or no agent', async () => {
    api.refuse(status.PERMISSION_DENIED, 'no identity issued');
    const refused = run('--cert-dir', svid, '--once');
    expect(await refused.code).toBe(1);
    expect(refused.said()).toContain('no identity issued');
    await api.stop();
    const alone = run('--cert-dir', svid, '--once');
    expect(await alone.code).toBe(1);
    expect(alone.said()).toContain(api.socketPath);
    expect(existsSync(`${svid}/svid_key.pem`)).toBe(false);
  });
});

describe('the folder of a helper', () => {
  it('is refused while another helper keeps it, and free once that has ended', async () => {
    const first = run('--cert-dir', svid);
    await waitFor('the first to write', () => writtenSerial() !== '');
    const second = run('--cert-dir', svid, '--once');
    expect(await second.code).toBe(1);
    expect(second.said()).toContain(`another process keeps the files in ${svid}`);
    stop.abort();
    expect(await first.code).toBe(0);
    stop = new AbortController();
    expect(await run('--cert-dir', svid, '--once').code).toBe(0);
  });

  it.runIf(canRunAsOthers())('gets an owner and a group by name (needs root)', async () => {
    const idOf = (flag: string): number => Number(spawnSync('id', [flag, 'nobody']).stdout.toString());
    const group = spawnSync('id', ['-gn', 'nobody']).stdout.toString().trim();
    expect(await run('--cert-dir', svid, '--once', '--owner', 'nobody', '--group', group).code).toBe(0);
    const { gid, mode, uid } = statSync(`${svid}/svid_key.pem`);
    expect({ gid, uid, mode: mode & 0o777 }).toEqual({ gid: idOf('-g'), uid: idOf('-u'), mode: 0o640 });
  });

  it('is not touched for an owner that this machine does not have', async () => {
    const unknown = run('--cert-dir', svid, '--once', '--owner', 'no-such-user');
    expect(await unknown.code).toBe(1);
    expect(unknown.said()).toContain('there is no user "no-such-user" in /etc/passwd');
    expect(existsSync(svid)).toBe(false);
  });
});

describe('health checks of a helper', () => {
  it(
    'tell when files are there, and when the SVID has expired without a newer one',
    async () => {
      api.beSilent();
      const port = await findFreePort();
      const helper = runFile({
        health_checks: { listener_enabled: true, bind_address: '127.0.0.1', bind_port: port },
      });
      const ask = async (path: string, method = 'GET'): Promise<number> => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
        await response.text();
        return response.status;
      };
      expect(await waitFor('the listener', () => ask('/live'), { explain: helper.said })).toBe(200);
      expect([await ask('/ready'), await ask('/other'), await ask('/live', 'POST')]).toEqual([503, 404, 405]);
      await serve();
      await waitFor('the helper to be ready', async () => (await ask('/ready')) === 200);
      await serve({ notBefore: new Date(Date.now() - 7_200_000), notAfter: new Date(Date.now() + 1_500) });
      await waitFor('the SVID to expire', async () => (await ask('/ready')) === 503);
      expect(await ask('/live')).toBe(200);
      await serve();
      await waitFor('the helper to be ready again', async () => (await ask('/ready')) === 200);
      chmodSync(svid, 0o777);
      await serve();
      await waitFor('the helper to fail', async () => (await ask('/live')) === 503);
      chmodSync(svid, 0o755);
      await waitFor('the helper to recover', async () => (await ask('/live')) === 200);
    },
    LIMIT_MS,
  );

  it('are refused on a port that is taken', async () => {
    const port = await findFreePort();
    const settings = { listener_enabled: true, bind_address: '127.0.0.1', bind_port: port };
    runFile({ health_checks: settings });
    await waitFor('the first to listen', () => fetch(`http://127.0.0.1:${port}/live`));
    const second = runFile({ cert_dir: directory.join('other'), health_checks: settings });
    expect(await second.code).toBe(1);
    expect(second.said()).toContain(`cannot listen for health checks on port ${port}`);
  });
});

describe('the program beside a helper', () => {
  const started = directoryFile('started');
  const told = directoryFile('told');

  function directoryFile(name: string): () => string {
    return () => directory.join(name);
  }

  it('starts once the files are there; its exit code is that of the helper', async () => {
    api.beSilent();
    const args = ['sh', '-c', `cat ${svid}/svid.pem > ${started()}; exit 7`];
    const helper = run('--cert-dir', svid, '--', ...args);
    await waitFor('the helper to ask', () => api.openStreams > 0);
    expect(existsSync(started())).toBe(false);
    const serial = await serve();
    expect(await helper.code).toBe(7);
    expect(new X509Certificate(readFileSync(started())).serialNumber).toBe(serial);
  });

  it('is told of each change by the signal that was named, and ends with the helper', async () => {
    const script = `trap 'echo new >> ${told()}' USR1; trap 'echo end >> ${told()}; exit 3' TERM; echo > ${started()}; while :; do sleep 0.05; done`;
    const helper = run('--cert-dir', svid, '--renew-signal', 'SIGUSR1', '--', 'sh', '-c', script);
    await waitFor('the program to start', () => existsSync(started()));
    await serve();
    await waitFor('the program to be told', () => readFileSync(told(), 'utf8') === 'new\n');
    stop.abort();
    expect(await helper.code).toBe(3);
    expect(readFileSync(told(), 'utf8')).toBe('new\nend\n');
  });

  it('is started again when a signal ends it, after a pause', async () => {
    const script = `echo $$ >> ${started()}; [ "$(wc -l < ${started()})" -ge 2 ] || kill -SEGV $$; exec sleep 600`;
    const helper = run('--cert-dir', svid, '--restart', '--', 'sh', '-c', script);
    const pids = await waitFor('a second start', () => {
      const lines = readFileSync(started(), 'utf8').trim().split('\n');
      return lines.length === 2 && lines;
    });
    expect(new Set(pids).size).toBe(2);
    stop.abort();
    expect(await helper.code).toBe(128 + 15);
  });

  it('that is missing ends the helper', async () => {
    const helper = run('--cert-dir', svid, '--', '/does/not/exist');
    expect(await helper.code).toBe(1);
    expect(helper.said()).toContain('cannot run cmd /does/not/exist');
  });
});
