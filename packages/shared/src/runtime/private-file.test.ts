import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createPrivateDirectory,
  readFileIfExists,
  removeUnfinishedWrites,
  writeFileAtomic,
} from './private-file.js';

describe('private files', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bonafide-private-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('are readable by their owner alone, in folders of the same kind (invariant 6)', async () => {
    const inner = join(folder, 'a', 'b');
    await createPrivateDirectory(inner);
    await writeFileAtomic(join(inner, 'key'), 'secret');
    expect((await stat(inner)).mode & 0o777).toBe(0o700);
    expect((await stat(join(inner, 'key'))).mode & 0o777).toBe(0o600);
  });

  it('leave the parents of a new folder to the umask, and an existing folder as it is', async () => {
    await mkdir(join(folder, 'ordinary'));
    const { mode } = await stat(join(folder, 'ordinary'));
    await createPrivateDirectory(join(folder, 'parent', 'own'));
    expect((await stat(join(folder, 'parent'))).mode).toBe(mode);
    await createPrivateDirectory(join(folder, 'parent'));
    expect((await stat(join(folder, 'parent'))).mode).toBe(mode);
  });

  it('are replaced whole and leave nothing behind', async () => {
    const path = join(folder, 'state');
    await writeFile(path, 'old', { mode: 0o644 });
    await writeFileAtomic(path, 'new');
    expect(await readFile(path, 'utf8')).toBe('new');
    expect(await readdir(folder)).toEqual(['state']);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('are cleared of what a killed process left half written, and the files of others are left alone', async () => {
    const others = ['.keys.json', '.keys.json.tmp', '.keys.json.bak.0123456789abcdef.tmp', 'keys.json'];
    for (const name of [...others, '.keys.json.0123456789abcdef.tmp'])
      await writeFile(join(folder, name), '');
    await removeUnfinishedWrites(join(folder, 'keys.json'));
    expect((await readdir(folder)).sort()).toEqual(others.sort());
  });

  it('say which path could not be written', async () => {
    await expect(writeFileAtomic(join(folder, 'missing', 'x'), 'y')).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringContaining(join(folder, 'missing', 'x')) as unknown,
    });
  });

  it('may be absent', async () => {
    expect(await readFileIfExists(join(folder, 'none'))).toBeUndefined();
    await expect(readFileIfExists(folder)).rejects.toThrow('EISDIR');
  });
});
