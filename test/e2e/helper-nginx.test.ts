/** nginx follows rotations by files and a signal: new connections, kept ones and an answer under way live on. */
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, get } from 'node:https';
import { connect } from 'node:tls';
import { findFreePort } from '@bonafide/testing/free-port';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { launchFileDomain, LIMIT_MS, readCredentials, steadily } from './file-domain.js';

const hasNginx = spawnSync('sh', ['-c', 'command -v nginx']).status === 0;
const TEST_LIMIT_MS = 600_000;
const SMALL = 'hello\n';
/** More than the buffers between nginx and a client hold. */
const LARGE_BYTES = 32 * 1024 * 1024;

function nginxConfig(directory: string, port: number): string {
  return `
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log info;
worker_processes 2;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${directory}/tmp;
  proxy_temp_path ${directory}/tmp;
  fastcgi_temp_path ${directory}/tmp;
  uwsgi_temp_path ${directory}/tmp;
  scgi_temp_path ${directory}/tmp;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${directory}/svid/svid.pem;
    ssl_certificate_key ${directory}/svid/svid_key.pem;
    ssl_client_certificate ${directory}/svid/svid_bundle.pem;
    ssl_verify_client on;
    ssl_session_cache off;
    ssl_session_tickets off;
    keepalive_timeout 600s;
    send_timeout 600s;
    root ${directory}/www;
  }
}
`;
}

interface Client {
  readonly port: number;
  readonly svid: string;
}

/** A connection of its own. @returns the serial number of the server's certificate. */
async function visit({ port, svid }: Client): Promise<string> {
  const tls = { host: '127.0.0.1', port, servername: 'localhost', ...(await readCredentials(svid)) };
  return new Promise((resolve, reject) => {
    const socket = connect(tls, () => {
      const { serialNumber } = socket.getPeerCertificate();
      socket.write('GET /small HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
      let answer = '';
      socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
      socket.once('end', () => {
        if (answer.startsWith('HTTP/1.1 200')) resolve(serialNumber);
        else reject(new Error(`nginx answered ${answer.slice(0, 200)}`));
      });
    });
    socket.once('error', reject);
  });
}

/** Over a connection that is kept; on one that nginx closed while it was idle, a request is sent again, as RFC 9112 section 9.3.1 has it. */
async function ask(client: Client, agent: Agent): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const answer = await request(client, agent, '/small');
    if (answer === undefined) continue;
    expect(await bytesOf(answer)).toBe(SMALL.length);
    return;
  }
  throw new Error('nginx closed every kept connection');
}

/** @returns undefined when a kept connection was closed before. */
async function request(client: Client, agent: Agent, path: string): Promise<IncomingMessage | undefined> {
  const options = { host: '127.0.0.1', port: client.port, servername: 'localhost', path, agent };
  const credentials = await readCredentials(client.svid);
  return new Promise((resolve, reject) => {
    const asked = get({ ...options, ...credentials }, (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`nginx answered ${response.statusCode ?? 'nothing'}`));
    });
    asked.once('error', (error: NodeJS.ErrnoException) => {
      if (asked.reusedSocket && error.code === 'ECONNRESET') resolve(undefined);
      else reject(error);
    });
  });
}

async function bytesOf(answer: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of answer) bytes += (chunk as Buffer).length;
  return bytes;
}

describe.runIf(hasNginx)('helper beside nginx (needs nginx)', () => {
  it(
    'follows rotations without a connection dropped',
    async ({ annotate }) => {
      using directory = createTemporaryDirectory({ isPublic: true });
      await using domain = await launchFileDomain(directory);
      const renew = await domain.register('nginx', 'localhost');
      await mkdir(directory.join('tmp'));
      await mkdir(directory.join('www'), { mode: 0o755 });
      await writeFile(directory.join('www/small'), SMALL, { mode: 0o644 });
      await writeFile(directory.join('www/large'), Buffer.alloc(LARGE_BYTES), { mode: 0o644 });
      const port = await findFreePort();
      const configPath = directory.join('nginx.conf');
      await writeFile(configPath, nginxConfig(directory.path, port));
      const svid = directory.join('svid');
      await using helper = await domain.launchHelper(
        { cert_dir: svid, pid_file_name: directory.join('nginx.pid'), renew_signal: 'SIGHUP' },
        [svid],
      );
      const client = { port, svid };
      await using nginx = await LaunchedProcess.launch({
        name: 'nginx',
        command: 'nginx',
        args: ['-p', directory.path, '-c', configPath],
        stopSignal: 'SIGQUIT',
        readyLimitMs: LIMIT_MS,
        isReady: async () => (await visit(client)) !== '',
      });

      // The client does not read on before the rotations are over.
      const large = await request(client, new Agent(), '/large');
      const keptOpen = new Agent({ keepAlive: true, maxSockets: 1 });
      const serials = new Set<string>();
      const visits = steadily(async () => {
        serials.add(await visit(client));
      });
      const asked = steadily(() => ask(client, keptOpen));
      const explain = (): string => `${helper.output}\n${nginx.output}`;
      for (const rotations of [1, 2]) {
        await renew();
        await waitFor('the new certificate', () => serials.size > rotations, { limitMs: LIMIT_MS, explain });
      }
      await visits.stop();
      await asked.stop();
      keptOpen.destroy();
      expect([...visits.failures, ...asked.failures]).toEqual([]);
      expect(large === undefined ? 0 : await bytesOf(large)).toBe(LARGE_BYTES);
      expect(nginx.isRunning).toBe(true);
      expect(await readFile(directory.join('error.log'), 'utf8')).not.toContain('[emerg]');
      await annotate(`${visits.count} connections, ${asked.count} requests over kept ones, none failed`);
    },
    TEST_LIMIT_MS,
  );
});
