/** PostgreSQL takes new files by SIGHUP, and lets clients in by the certificates that a second entry of the helper writes. */
import { once } from 'node:events';
import { realpath, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { FAST_SETTINGS, launchPostgres } from '@bonafide/testing/launch-postgres';
import { postgresAccount, runPostgresProgram } from '@bonafide/testing/postgres-programs';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { launchFileDomain, LIMIT_MS, steadily } from './file-domain.js';

const TEST_LIMIT_MS = 600_000;

/** Asks for TLS as a client of PostgreSQL does (protocol section 55.2.10). @returns the serial number of the server's certificate. */
async function servedSerial(port: number): Promise<string> {
  const tcp = connectTcp({ host: '127.0.0.1', port });
  tcp.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
  await once(tcp, 'data');
  const tls = connect({ socket: tcp, rejectUnauthorized: false });
  await once(tls, 'secureConnect');
  const { serialNumber } = tls.getPeerCertificate();
  tls.destroy();
  return serialNumber;
}

describe('helper beside PostgreSQL', () => {
  it(
    'follows rotations, and clients log in by certificate all the while',
    async ({ annotate }) => {
      using directory = createTemporaryDirectory({ isPublic: true });
      await using domain = await launchFileDomain(directory);
      const renewServer = await domain.register('db', 'localhost');
      const renewClient = await domain.register('app', 'app.example.org');
      const database = directory.join('db-svid');
      const client = directory.join('app-svid');
      const account = postgresAccount();
      const owner = account === undefined ? {} : { owner: `${account.uid}` };
      await writeFile(
        directory.join('pg_hba.conf'),
        'hostssl all app 127.0.0.1/32 cert map=svid\nhost all all 127.0.0.1/32 scram-sha-256\n',
        { mode: 0o644 },
      );
      await writeFile(directory.join('pg_ident.conf'), 'svid app.example.org app\n', { mode: 0o644 });
      await using helper = await domain.launchHelper(
        {
          helpers: [
            {
              ...{ cert_dir: database, spiffe_id: 'spiffe://example.org/db', ...owner },
              pid_file_name: directory.join('postgres/data/postmaster.pid'),
              renew_signal: 'SIGHUP',
            },
            { cert_dir: client, spiffe_id: 'spiffe://example.org/app', ...owner },
          ],
        },
        [database, client],
      );
      await using postgres = await launchPostgres({
        directory: directory.path,
        settings: {
          ...FAST_SETTINGS,
          ssl: 'on',
          ssl_cert_file: join(database, 'svid.pem'),
          ssl_key_file: join(database, 'svid_key.pem'),
          ssl_ca_file: join(database, 'svid_bundle.pem'),
          hba_file: directory.join('pg_hba.conf'),
          ident_file: directory.join('pg_ident.conf'),
        },
      });
      await postgres.query(
        'CREATE ROLE app LOGIN; CREATE TABLE finished (); GRANT SELECT ON finished TO app',
      );

      const run = async (sql: string): Promise<string> => {
        const version = await realpath(join(client, '..data'));
        const address = [
          `host=localhost hostaddr=127.0.0.1 port=${postgres.port} user=app dbname=postgres sslmode=verify-full`,
          `sslcert=${join(version, 'svid.pem')} sslkey=${join(version, 'svid_key.pem')}`,
          `sslrootcert=${join(version, 'svid_bundle.pem')}`,
        ].join(' ');
        return (await runPostgresProgram('psql', ['-XAt', '-d', address, '-c', sql])).trim();
      };
      expect(await run('SELECT current_user')).toBe('app');

      const held = run(
        'DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM finished) LOOP PERFORM pg_sleep(0.1); END LOOP; END $$',
      );
      const served = new Set<string>();
      const shown = new Set<string>();
      const logins = steadily(async () => {
        shown.add(await run('SELECT client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()'));
        served.add(await servedSerial(postgres.port));
      });
      const limits = { limitMs: LIMIT_MS, explain: () => `${helper.output}\n${postgres.process.output}` };
      await waitFor('the first login', () => served.size > 0, limits);
      for (const rotations of [1, 2]) {
        await renewServer();
        await renewClient();
        const isFollowed = (): boolean => served.size > rotations && shown.size > rotations;
        await waitFor('the new certificates on both sides', isFollowed, limits);
      }
      await logins.stop();
      await postgres.query('INSERT INTO finished DEFAULT VALUES');
      expect(await held).toBe('DO');
      expect(logins.failures).toEqual([]);
      await annotate(`${logins.count} logins by certificate, none failed`);
    },
    TEST_LIMIT_MS,
  );
});
