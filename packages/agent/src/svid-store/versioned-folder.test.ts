import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { execFileSync, spawnSync } from 'node:child_process';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VersionedFolder } from './versioned-folder.js';

const NOBODY = { uid: undefined, gid: undefined };
let directory: TemporaryDirectory;
let path: string;
beforeEach(() => {
  directory = createTemporaryDirectory();
  path = directory.join('svid');
});
afterEach(() => {
  directory.remove();
});

async function opened(): Promise<VersionedFolder> {
  const folder = new VersionedFolder({ path, ownership: NOBODY });
  await folder.prepare();
  return folder;
}

function pair(version: string): { name: string; content: string; mode: number }[] {
  return [
    { name: 'svid.pem', content: `certificate ${version}`, mode: 0o644 },
    { name: 'svid_key.pem', content: `key ${version}`, mode: 0o600 },
  ];
}

function read(name: string): string {
  return readFileSync(`${path}/${name}`, 'utf8');
}

function canMount(): boolean {
  return (
    canRunAsOthers() &&
    spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
  );
}

describe('VersionedFolder', () => {
  it('shows a pair through links that one rename moves, with the modes that were meant', async () => {
    const folder = await opened();
    const umask = process.umask(0);
    try {
      expect(await folder.replace(pair('1'))).toBe(true);
    } finally {
      process.umask(umask);
    }
    expect([read('svid.pem'), read('svid_key.pem')]).toEqual(['certificate 1', 'key 1']);
    expect(statSync(`${path}/svid_key.pem`).mode & 0o777).toBe(0o600);
    expect(statSync(`${path}/svid.pem`).mode & 0o777).toBe(0o644);
    expect(await folder.replace(pair('2'))).toBe(true);
    expect(read('svid_key.pem')).toBe('key 2');
  });

  it('writes nothing where nothing differs, also after a restart', async () => {
    await (await opened()).replace(pair('1'));
    const before = await realpath(`${path}/..data`);
    expect(await (await opened()).replace(pair('1'))).toBe(false);
    expect(await realpath(`${path}/..data`)).toBe(before);
  });

  it('keeps the former version for those who have it open, and none before it', async () => {
    const folder = await opened();
    await folder.replace(pair('1'));
    const first = await realpath(`${path}/..data`);
    await folder.replace(pair('2'));
    expect(await readFile(`${first}/svid_key.pem`, 'utf8')).toBe('key 1');
    await folder.replace(pair('3'));
    expect(readdirSync(path).filter((name) => name.startsWith('..v-'))).toHaveLength(2);
  });

  it('keeps files of which there is no newer, and drops names that are not wanted any more', async () => {
    const folder = await opened();
    await folder.replace([...pair('1'), { name: 'token', content: 'token 1', mode: 0o600 }]);
    await folder.replace(pair('2'), ['svid.pem', 'svid_key.pem', 'token']);
    expect([read('svid.pem'), read('token')]).toEqual(['certificate 2', 'token 1']);
    await folder.replace(pair('3'));
    expect(readdirSync(path)).not.toContain('token');
  });

  it('takes over plain files of the same names, and leaves those of others alone', async () => {
    mkdirSync(path, { mode: 0o755 });
    for (const { name, content } of pair('old')) writeFileSync(`${path}/${name}`, content);
    writeFileSync(`${path}/dhparam.pem`, 'mine');
    await (await opened()).replace(pair('new'));
    expect([read('svid.pem'), read('svid_key.pem'), read('dhparam.pem')]).toEqual([
      'certificate new',
      'key new',
      'mine',
    ]);
  });

  it('leaves the former pair in place when it cannot write the next, and nothing half-written', async () => {
    const folder = await opened();
    await folder.replace(pair('1'));
    const names = readdirSync(path).sort();
    const tooLong = { name: 'n'.repeat(300), content: '', mode: 0o600 };
    await expect(folder.replace([...pair('2'), tooLong])).rejects.toThrow(
      'the files that were there stay in place',
    );
    expect([read('svid.pem'), read('svid_key.pem')]).toEqual(['certificate 1', 'key 1']);
    expect(readdirSync(path).sort()).toEqual(names);
  });

  it.runIf(canMount())('leaves the former pair in place when the disk is full (needs root)', async () => {
    mkdirSync(path);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs', path]);
    try {
      const folder = await opened();
      await folder.replace(pair('1'));
      const large = { name: 'svid.pem', mode: 0o644, content: 'x'.repeat(100_000) };
      await expect(folder.replace([large])).rejects.toThrow(/ENOSPC.*stay in place/);
      expect([read('svid.pem'), read('svid_key.pem')]).toEqual(['certificate 1', 'key 1']);
      expect(await folder.replace(pair('2'))).toBe(true);
    } finally {
      execFileSync('umount', [path]);
    }
  });

  it('clears what a killed process left', async () => {
    await (await opened()).replace(pair('1'));
    mkdirSync(`${path}/..v-0123456789abcdef`);
    writeFileSync(`${path}/..v-0123456789abcdef/svid_key.pem`, 'half');
    symlinkSync('..v-0123456789abcdef', `${path}/..link-0123456789abcdef`);
    await opened();
    const left = readdirSync(path).join(' ');
    expect(left).not.toContain('0123456789abcdef');
    expect(read('svid_key.pem')).toBe('key 1');
  });

  it('takes away all that it wrote and nothing else', async () => {
    const folder = await opened();
    await folder.replace(pair('1'));
    writeFileSync(`${path}/mine`, '');
    await folder.remove();
    expect(readdirSync(path)).toEqual(['mine']);
    rmSync(path, { recursive: true });
    await folder.remove();
  });

  it.each([0o777, 0o775, 0o757])(
    'refuses a folder of mode %o, where others can swap the key',
    async (mode) => {
      mkdirSync(path);
      chmodSync(path, mode);
      await expect(opened()).rejects.toThrow('others than its owner can write');
    },
  );

  it('refuses a folder below one that every user may change', async () => {
    chmodSync(directory.path, 0o777);
    await expect(opened()).rejects.toThrow('every user can write');
  });
});
