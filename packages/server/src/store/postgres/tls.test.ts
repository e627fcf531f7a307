import { chownSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FAST_SETTINGS, launchPostgres, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { postgresAccount } from '@bonafide/testing/postgres-programs';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { createEntry } from '../create-entry.js';
import { openPostgresStore } from './open-postgres-store.js';
import type { Store } from '../store.js';

const LIMIT_MS = 120_000;

describe('a PostgreSQL that takes no connection without TLS', () => {
  let directory: TemporaryDirectory;
  let postgres: LaunchedPostgres;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    const authority = await TestAuthority.create('database.test');
    const stranger = await TestAuthority.create('database.test');
    const svid = await authority.issueX509Svid('/postgres', { dnsNames: ['localhost'] });
    writeFileSync(directory.join('ca.pem'), encodePem('CERTIFICATE', authority.certificate));
    writeFileSync(directory.join('other-ca.pem'), encodePem('CERTIFICATE', stranger.certificate));
    const files = {
      ssl_cert_file: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      ssl_key_file: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
      hba_file: 'hostssl all all all scram-sha-256\n',
    };
    const account = postgresAccount();
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(directory.join(name), content, { mode: 0o600 });
      if (account !== undefined) chownSync(directory.join(name), account.uid, account.gid);
    }
    const paths = Object.fromEntries(Object.keys(files).map((name) => [name, directory.join(name)]));
    const settings = { ...FAST_SETTINGS, ...paths, ssl: 'on' };
    postgres = await launchPostgres({ directory: directory.path, settings });
  }, LIMIT_MS);

  afterAll(async () => {
    await postgres.stop();
    directory.remove();
  }, LIMIT_MS);

  function open(host: string, parameters: Readonly<Record<string, string>>): Promise<Store> {
    const url = new URL(postgres.url());
    url.hostname = host;
    url.search = new URLSearchParams(parameters).toString();
    const serverId = `server of ${host}`;
    return openPostgresStore({ url: url.href, serverId, clock: systemClock, log: silentLogger });
  }

  it.each([
    ['verify-full', 'localhost'],
    ['verify-ca', '127.0.0.1'],
    ['require', '127.0.0.1'],
  ])('is taken for what it is with sslmode %s', async (sslmode, host) => {
    const authority: Readonly<Record<string, string>> =
      sslmode === 'require' ? {} : { sslrootcert: directory.join('ca.pem') };
    const store = await open(host, { sslmode, ...authority });
    await createEntry(store, `/${sslmode}`);
    await store.close();
  });

  it.each([
    [
      'an authority that did not sign it',
      'localhost',
      'verify-full',
      'other-ca.pem',
      /^cannot trust the database postgres at localhost:\d+: .*certificate/,
    ],
    [
      'an authority that did not sign it, of which only that is asked',
      'localhost',
      'verify-ca',
      'other-ca.pem',
      /^cannot trust the database/,
    ],
    [
      'a name that it does not have',
      '127.0.0.1',
      'verify-full',
      'ca.pem',
      /^cannot trust the database .*(IP|altnames)/,
    ],
  ])('is refused for %s', async (_what, host, sslmode, authority, problem) => {
    await expect(open(host, { sslmode, sslrootcert: directory.join(authority) })).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringMatching(problem) as string,
    });
  });

  it('is not reached without TLS, and the refusal says what to set', async () => {
    await expect(open('127.0.0.1', { sslmode: 'disable' })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringMatching(
        /^the database .* refused a connection without TLS; expected sslmode/,
      ) as string,
    });
  });

  it('is refused when the file of the authority is not there', async () => {
    await expect(
      open('localhost', { sslmode: 'verify-full', sslrootcert: '/nowhere.pem' }),
    ).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringContaining('cannot read sslrootcert of the database') as string,
    });
  });
});
