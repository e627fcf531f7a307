/** The provider as an operator runs it: a process, with a file, that ends when it is told. */
import { existsSync, writeFileSync } from 'node:fs';
import { get as httpGet, type IncomingMessage, type RequestOptions } from 'node:http';
import { get as httpsGet } from 'node:https';
import { findFreePort } from '@bonafide/testing/free-port';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { programPath } from '@bonafide/testing/program-path';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createWebCertificate } from './web-certificate.js';

const DOMAIN = 'oidc.example.org';
const JWK = {
  ...{ kty: 'EC', crv: 'P-256', use: 'jwt-svid', kid: 'one' },
  x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
  y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
};

let folder: TemporaryDirectory;

beforeEach(() => {
  folder = createTemporaryDirectory();
  writeFileSync(folder.join('bundle.json'), JSON.stringify({ keys: [JWK] }));
});

afterEach(() => {
  folder.remove();
});

function writeConfig(config: object): string {
  const path = folder.join('oidc.json');
  const file = { path: folder.join('bundle.json'), poll_interval: '100ms' };
  writeFileSync(path, JSON.stringify({ domains: [DOMAIN], file, ...config }));
  return path;
}

async function keyIds(get: typeof httpGet | typeof httpsGet, options: RequestOptions): Promise<string[]> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ path: '/keys', headers: { host: DOMAIN }, ...options }, resolve).on('error', reject);
  });
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  const { keys } = JSON.parse(text) as { keys: { kid: string }[] };
  return keys.map(({ kid }) => kid);
}

async function launch(config: object, ask: () => Promise<string[]>): Promise<LaunchedProcess> {
  return LaunchedProcess.launch({
    name: 'oidc',
    command: process.execPath,
    args: [programPath('oidc'), 'run', '--config', writeConfig(config)],
    isReady: async () => (await ask()).length > 0,
  });
}

it('serves on a Unix socket that everybody may use, and takes it away when SIGTERM ends it', async () => {
  const socketPath = folder.join('oidc.sock');
  const ask = (): Promise<string[]> => keyIds(httpGet, { socketPath });
  await using provider = await launch({ listen_socket_path: socketPath }, ask);
  expect(await ask()).toEqual(['one']);
  await provider.stop();
  expect(provider.exitCode).toBe(0);
  expect(existsSync(socketPath)).toBe(false);
});

it('serves HTTPS by its certificate files, and SIGTERM ends it though a connection is open', async () => {
  const { cert, key, root } = await createWebCertificate(DOMAIN);
  const [certPath, keyPath, port] = [folder.join('tls.crt'), folder.join('tls.key'), await findFreePort()];
  writeFileSync(certPath, cert);
  writeFileSync(keyPath, key, { mode: 0o600 });
  const files = { cert_file_path: certPath, key_file_path: keyPath, addr: `127.0.0.1:${port}` };
  const ask = (): Promise<string[]> =>
    keyIds(httpsGet, { host: '127.0.0.1', port, ca: root, servername: DOMAIN } as RequestOptions);
  await using provider = await launch({ serving_cert_file: files }, ask);
  expect(await ask()).toEqual(['one']); // by an agent that keeps its connection
  await provider.stop();
  expect(provider.exitCode).toBe(0);
});

it('takes over new certificate files on SIGHUP, keeps the old when they are no pair, and says what needs a restart', async () => {
  const [first, second] = [await createWebCertificate(DOMAIN), await createWebCertificate(DOMAIN)];
  const [certPath, keyPath, port] = [folder.join('tls.crt'), folder.join('tls.key'), await findFreePort()];
  const write = (cert: string, key: string): void => {
    writeFileSync(certPath, cert);
    writeFileSync(keyPath, key, { mode: 0o600 });
  };
  write(first.cert, first.key);
  const files = { cert_file_path: certPath, key_file_path: keyPath, file_sync_interval: '24h' };
  const serving = { serving_cert_file: { ...files, addr: `127.0.0.1:${port}` } };
  const ask = (root: string): Promise<string[]> =>
    keyIds(httpsGet, {
      ...{ host: '127.0.0.1', port, ca: root, servername: DOMAIN, agent: false },
    });
  await using provider = await launch(serving, () => ask(first.root));
  const reload = async (expected: string): Promise<void> => {
    process.kill(provider.pid, 'SIGHUP');
    const explain = (): string => provider.output;
    await waitFor(`a line with ${expected}`, () => provider.output.includes(expected), { explain });
  };

  write(second.cert, first.key);
  await reload('was not reloaded');
  expect(await ask(first.root)).toEqual(['one']);

  write(second.cert, second.key);
  writeConfig({ ...serving, jwt_issuer: 'https://issuer.example.org' });
  await reload('needs a restart: jwt_issuer');
  expect(await ask(second.root)).toEqual(['one']);
  await expect(ask(first.root)).rejects.toThrow();
}, 240_000);

it('says every problem of its file at once, with the line, and starts nothing', async () => {
  const path = folder.join('wrong.yaml');
  writeFileSync(
    path,
    'domains: [Oidc.Example.org]\nserving_cert_fil: {}\nlog_level: LOUD\nserver_path_prefix: keys\n',
  );
  for (const command of ['validate', 'run']) {
    const { code, stderr } = await runCommand('oidc', [command, '--config', path]);
    expect(code).toBe(1);
    for (const problem of ['wrong.yaml:1', 'serving_cert_fil', 'log_level', 'server_path_prefix']) {
      expect(stderr).toContain(problem);
    }
  }
});

it('does not start without its certificate, and says which file is missing', async () => {
  const files = { cert_file_path: folder.join('none.crt'), key_file_path: folder.join('none.key') };
  const config = writeConfig({ serving_cert_file: { ...files, addr: '127.0.0.1:0' } });
  const { code, stderr } = await runCommand('oidc', ['run', '--config', config]);
  expect(code).toBe(1);
  expect(stderr).toContain('none.crt');
});
