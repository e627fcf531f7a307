/** Redis takes new files by a command; a kept connection and new ones live on. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { findFreePort } from '@bonafide/testing/free-port';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { launchFileDomain, LIMIT_MS, readCredentials, steadily } from './file-domain.js';

const TEST_LIMIT_MS = 600_000;
const hasRedis = spawnSync('sh', ['-c', 'command -v redis-server && command -v redis-cli']).status === 0;

async function open(port: number, svid: string): Promise<TLSSocket> {
  const tls = { host: '127.0.0.1', port, servername: 'localhost', ...(await readCredentials(svid)) };
  return new Promise((resolve, reject) => {
    const socket = connect(tls, () => {
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

function ping(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const onEnd = (): void => {
      reject(new Error('redis closed the connection'));
    };
    socket.once('error', reject);
    socket.once('close', onEnd);
    socket.once('data', (answer: Buffer) => {
      socket.off('error', reject);
      socket.off('close', onEnd);
      if (answer.toString() === '+PONG\r\n') resolve();
      else reject(new Error(`redis answered ${answer.toString()}`));
    });
    socket.write('PING\r\n');
  });
}

describe.runIf(hasRedis)('helper beside Redis (needs redis-server)', () => {
  it(
    'follows rotations by CONFIG SET without a connection dropped',
    async ({ annotate }) => {
      using directory = createTemporaryDirectory({ isPublic: true });
      await using domain = await launchFileDomain(directory);
      const renew = await domain.register('redis', 'localhost');
      const port = await findFreePort();
      const svid = directory.join('svid');
      const [cert, key, bundle] = [
        join(svid, 'svid.pem'),
        join(svid, 'svid_key.pem'),
        join(svid, 'svid_bundle.pem'),
      ];
      const login = ['--tls', '--cert', cert, '--key', key, '--cacert', bundle];
      const set = ['CONFIG', 'SET', 'tls-cert-file', cert, 'tls-key-file', key, 'tls-ca-cert-file', bundle];
      await using helper = await domain.launchHelper(
        {
          cert_dir: svid,
          on_change: { command: ['redis-cli', '-e', '-p', `${port}`, ...login, ...set], timeout: '60s' },
        },
        [svid],
      );
      await using redis = await LaunchedProcess.launch({
        name: 'redis',
        command: 'redis-server',
        args: [
          ...[
            '--port',
            '0',
            '--tls-port',
            `${port}`,
            '--bind',
            '127.0.0.1',
            '--save',
            '',
            '--dir',
            directory.path,
          ],
          ...['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', bundle],
        ],
        readyLimitMs: LIMIT_MS,
        isReady: async () => {
          (await open(port, svid)).destroy();
          return true;
        },
      });

      const kept = await open(port, svid);
      const pings = steadily(() => ping(kept));
      const serials = new Set<string>();
      const logins = steadily(async () => {
        const socket = await open(port, svid);
        await ping(socket);
        serials.add(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      const explain = (): string => `${helper.output}\n${redis.output}`;
      await waitFor('the first certificate', () => serials.size > 0, { limitMs: LIMIT_MS, explain });
      for (const rotations of [1, 2]) {
        await renew();
        await waitFor('the new certificate', () => serials.size > rotations, { limitMs: LIMIT_MS, explain });
      }
      await pings.stop();
      await logins.stop();
      kept.destroy();
      expect([...pings.failures, ...logins.failures]).toEqual([]);
      await annotate(`${logins.count} connections, ${pings.count} pings over a kept one, none failed`);
    },
    TEST_LIMIT_MS,
  );
});
