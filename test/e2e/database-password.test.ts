import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { launchPostgres, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { launchServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const WRONG = 'wrong-Hunter2';
const LIMIT_MS = 120_000;

describe('the password of the database', () => {
  let directory: TemporaryDirectory;
  let postgres: LaunchedPostgres;

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    postgres = await launchPostgres({ directory: directory.path });
  }, LIMIT_MS);

  afterAll(async () => {
    await postgres.stop();
    directory.remove();
  }, LIMIT_MS);

  it.each([
    ['a url', (url: URL) => url.href],
    [
      'keywords and values',
      ({ hostname, port, username, password, pathname }: URL) =>
        `host=${hostname} port=${port} user=${username} password='${password}' dbname=${pathname.slice(1)} sslmode=disable`,
    ],
  ])(
    'is said by nobody when it is wrong, in %s',
    async (how, written) => {
      const url = new URL(await postgres.createDatabase(`wrong ${how}`));
      url.password = WRONG;
      const name = `server-${how.length}`;
      const datastore = { type: 'postgres', url: written(url) };
      const refusal = await launchServer({ directory: directory.path, name, config: { datastore } }).then(
        () => new Error('it started'),
        (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
      );
      // All that the server wrote is in it.
      expect(refusal.message).toMatch(/it ended with code 1/);
      expect(refusal.message).toContain('refused the user name or the password');
      expect(refusal.message).not.toContain(WRONG);
    },
    LIMIT_MS,
  );

  it(
    'is said by nobody while all goes well, nor when the database is lost',
    async () => {
      const datastore = { type: 'postgres', url: await postgres.createDatabase('right') };
      await using server = await launchServer({
        directory: directory.path,
        name: 'right',
        config: { datastore },
      });
      await server.commandOutput('token', 'generate');
      await postgres.kill9();
      await waitFor('the loss', () => server.process.output.includes('the database is lost'), {
        limitMs: 150_000,
      });
      const { stdout, stderr } = await server.command('token', 'generate');
      await postgres.start();
      await waitFor('the recovery', () => server.process.output.includes('the database is back'), {
        limitMs: 150_000,
      });
      await server.stop();
      expect(server.process.output).toContain('Stopping Server APIs');
      for (const said of [
        server.process.output,
        stdout,
        stderr,
        ...filesBelow(join(directory.path, 'right')),
      ])
        expect(said).not.toContain(postgres.password);
    },
    LIMIT_MS,
  );
});

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'));
}
