import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDirectory } from './create-directory.js';

describe('a folder that must be there', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bonafide-folder-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

  it('gets the permissions that were meant, as do its missing parents, whatever the umask is', async () => {
    const [parent, child] = [join(folder, 'parent'), join(folder, 'parent', 'child')];
    await createDirectory(child, 0o700, 0o757);
    expect(await modeOf(parent)).toBe(0o757);
    expect(await modeOf(child)).toBe(0o700);
  });

  it('stays as it is when it exists', async () => {
    await createDirectory(join(folder, 'a'), 0o711);
    await createDirectory(join(folder, 'a'), 0o777);
    expect(await modeOf(join(folder, 'a'))).toBe(0o711);
  });

  it('is refused where none can be, instead of being tried for ever', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(createDirectory(join(folder, 'file'), 0o700)).rejects.toThrow('EEXIST');
    await expect(createDirectory(join(folder, 'file', 'below'), 0o700)).rejects.toThrow('ENOTDIR');
    await expect(createDirectory('/proc/no-such-folder', 0o700)).rejects.toThrow('ENOENT');
  });
});
