import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { secretKeysIn } from './exposed-secrets.js';
import { loadConfig } from './load-config.js';

it.each([
  [{ agent: { join_token: 'x', log_level: 'info' } }, ['agent.join_token']],
  [{ datastore: { url: 'postgres://me:pass@db/x' } }, ['datastore.url']],
  [{ datastore: { url: 'postgres://db/x' }, tokens: [{ token: 'x' }] }, ['tokens.0.token']],
  [{ sql: { connection_string: 'host=db password=x' } }, ['sql.connection_string']],
  [{ join_token: {}, url: new URL('https://a:b@c/') }, []],
])('names the keys of secrets in %j', (config, expected) => {
  expect(secretKeysIn(config)).toEqual(expected);
});

it('warns of a file with secrets that others may read, without quoting them', async () => {
  using folder = createTemporaryDirectory();
  const path = join(folder.path, 'agent.yaml');
  await writeFile(path, 'join_token: hunter2');
  const schema = z.strictObject({ join_token: z.string() });
  const warnings: string[] = [];
  const warn = (text: string): unknown => warnings.push(text);
  await chmod(path, 0o640);
  await loadConfig(path, schema, { warn });
  expect(warnings).toEqual([]);
  await chmod(path, 0o644);
  await loadConfig(path, schema, { warn });
  expect(warnings).toEqual([
    `${path} holds secrets (join_token) and everybody may read it; run chmod o-r ${path}`,
  ]);

  const flag = { path: ['join_token'], value: 'x', flag: '--join-token' };
  await loadConfig(path, schema, { warn, overrides: [flag] });
  expect(warnings).toHaveLength(1);
});
