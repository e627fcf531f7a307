import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { lockDataFolder } from './database-lock.js';
import { loadServerId } from './server-id.js';

it('a server ID is made once, and is for its owner alone', async () => {
  using directory = createTemporaryDirectory();
  const first = await loadServerId(directory.path);
  expect(first).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(await loadServerId(directory.path)).toBe(first);
  expect(readFileSync(directory.join('server-id'), 'utf8')).toBe(`${first}\n`);
  expect(statSync(directory.join('server-id')).mode & 0o777).toBe(0o600);
});

it.each(['', 'x', '00000000-0000-0000-0000-00000000000', 'a'.repeat(100_000)])(
  'a damaged server ID is refused and left as it is',
  async (text) => {
    using directory = createTemporaryDirectory();
    writeFileSync(directory.join('server-id'), text);
    await expect(loadServerId(directory.path)).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringContaining('is damaged; restore it, or remove it') as string,
    });
    expect(readFileSync(directory.join('server-id'), 'utf8')).toBe(text);
  },
);

it('a data folder is for one server at a time', async () => {
  using directory = createTemporaryDirectory();
  const lock = await lockDataFolder(directory.path);
  await expect(lockDataFolder(directory.path)).rejects.toMatchObject({
    reason: 'failed_precondition',
    message: expect.stringContaining('in use by another server') as string,
  });
  lock.release();
  (await lockDataFolder(directory.path)).release();
});
