import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SvidFiles, type StoredSvid } from './svid-files.js';

let directory: TemporaryDirectory;
let folder: string;
beforeEach(() => {
  directory = createTemporaryDirectory();
  folder = directory.join('svids');
});
afterEach(() => {
  directory.remove();
});

const LONGEST_PAUSE_MS = 60_000;
const authority = await TestAuthority.create('example.org');

async function stored(entryId: string, notAfter?: Date): Promise<StoredSvid> {
  const options = notAfter === undefined ? {} : { notAfter };
  const svid = await authority.issueX509Svid('/web', options);
  return { entryId, contentKey: 'k', svid };
}

async function open(clock: Clock = systemClock): Promise<SvidFiles> {
  const files = new SvidFiles({ directory: folder, clock, log: silentLogger });
  await files.load(systemClock.now());
  return files;
}

async function reload(): Promise<readonly StoredSvid[]> {
  const files = new SvidFiles({ directory: folder, clock: systemClock, log: silentLogger });
  return files.load(systemClock.now());
}

async function onlyFile(): Promise<string> {
  return join(folder, (await readdir(folder))[0] ?? '');
}

describe('SvidFiles', () => {
  it('brings back what was saved, key and all', async () => {
    const files = await open();
    const svid = await stored('a');
    files.save(svid);
    await files.flush();
    const [loaded] = await reload();
    expect(loaded).toMatchObject({ entryId: 'a', contentKey: 'k' });
    expect(loaded?.svid.certificateChain).toEqual(svid.svid.certificateChain);
    expect(loaded?.svid.privateKey.equals(svid.svid.privateKey)).toBe(true);
    expect(loaded?.svid.notAfter).toEqual(parsedDate(svid.svid.notAfter));
  });

  it('keeps files of mode 0600 in a folder of mode 0700', async () => {
    const files = await open();
    files.save(await stored('a'));
    await files.flush();
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(await onlyFile())).mode & 0o777).toBe(0o600);
  });

  it('holds one file for each entry, whatever its id', async () => {
    const files = await open();
    for (const id of ['../x', 'a/b', 'a', '.', 'ü', 'x'.repeat(255)]) files.save(await stored(id));
    files.save(await stored('a'));
    await files.flush();
    expect(await readdir(folder)).toHaveLength(6);
    expect((await reload()).map(({ entryId }) => entryId)).toContain('../x');
  });

  it('removes what has been released', async () => {
    const files = await open();
    files.save(await stored('a'));
    files.remove('a');
    files.save(await stored('b'));
    await files.flush();
    files.remove('b');
    await files.flush();
    expect(await readdir(folder)).toEqual([]);
  });

  it('removes everything when it is cleared', async () => {
    const files = await open();
    for (const id of ['a', 'b', 'c']) files.save(await stored(id));
    await files.clear();
    expect(await readdir(folder)).toEqual([]);
  });

  it('does not bring back an SVID that has expired, and removes its file', async () => {
    const files = await open();
    files.save(await stored('a', new Date(systemClock.now().getTime() - 1000)));
    await files.flush();
    expect(await reload()).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it.each([
    ['cut short', (text: string) => text.slice(0, text.length / 2)],
    ['empty', () => ''],
    ['of another version', (text: string) => text.replace('"version":1', '"version":2')],
    ['with a member more', (text: string) => text.replace('{', '{"more":1,')],
    ['with a damaged key', (text: string) => text.replace(/"private_key":"./, '"private_key":"!')],
    [
      'with no certificate',
      (text: string) => text.replace(/"certificate_chain":\[[^\]]*\]/, '"certificate_chain":[]'),
    ],
    ['of another entry', (text: string) => text.replace('"entry_id":"a"', '"entry_id":"b"')],
  ])('ignores and removes a file that is %s', async (_name, damage) => {
    const files = await open();
    files.save(await stored('a'));
    await files.flush();
    const path = await onlyFile();
    await writeFile(path, damage(await readFile(path, 'utf8')));
    expect(await reload()).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('ignores a file whose key is not that of its certificate', async () => {
    const files = await open();
    const [a, b] = [await stored('a'), await stored('b')];
    files.save({ ...a, svid: { ...a.svid, privateKey: b.svid.privateKey } });
    await files.flush();
    expect(await reload()).toEqual([]);
  });

  it('tries again to write what could not be written, unless it was released or overtaken meanwhile', async () => {
    const clock = new FakeClock();
    const files = await open(clock);
    const later = new Date(systemClock.now().getTime() + 3_600_000);
    const [first, second] = [await stored('a'), await stored('a', later)];
    await rename(folder, `${folder}-away`);
    for (const svid of [first, await stored('b'), await stored('c')]) files.save(svid);
    await files.flush();
    files.save(second);
    files.remove('c');
    await files.flush();
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(LONGEST_PAUSE_MS);
    await files.flush();

    await rename(`${folder}-away`, folder);
    expect(await readdir(folder)).toEqual([]);
    await clock.advance(LONGEST_PAUSE_MS);
    await files.flush();
    const loaded = (await reload()).toSorted((one, other) => one.entryId.localeCompare(other.entryId));
    expect(loaded.map(({ entryId }) => entryId)).toEqual(['a', 'b']);
    expect(loaded[0]?.svid.certificateChain).toEqual(second.svid.certificateChain);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not bring back what was cleared while it could not be written', async () => {
    const clock = new FakeClock();
    const files = await open(clock);
    await rename(folder, `${folder}-away`);
    files.save(await stored('a'));
    await files.flush();
    await rename(`${folder}-away`, folder);
    await files.clear();
    await clock.advance(LONGEST_PAUSE_MS);
    await files.flush();
    expect(await readdir(folder)).toEqual([]);
  });

  it('removes left-overs of a write that a crash cut short', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, '.0123456789abcdef.tmp'), 'half');
    await open();
    expect(await readdir(folder)).toEqual([]);
  });
});

/** Certificates count in whole seconds. */
function parsedDate(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}
