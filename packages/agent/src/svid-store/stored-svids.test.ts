import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleBundle, sampleEntry, sampleSvid, TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { DirectoryStore } from './directory-store.js';
import { StoredSvids } from './stored-svids.js';
import type { StoreResult } from './svid-store.js';

const OWNERSHIP = { uid: undefined, gid: undefined };
const NO_CHANGE = {
  kind: 'delta',
  upsertedEntries: [],
  removedEntryIds: [],
  upsertedBundles: [],
  removedBundleTrustDomains: [],
} as const;

let directory: TemporaryDirectory;
let root: string;
let cache: SvidCache;
let stop: AbortController;
let running: Promise<void>;
let attempts: StoreResult[];
beforeEach(async () => {
  directory = createTemporaryDirectory();
  root = directory.join('stored');
  const clock = new FakeClock();
  const log = createLogger({ level: 'warn', format: 'text', file: directory.join('log') });
  cache = new SvidCache({ trustDomain: TRUST_DOMAIN, clock, log, maximumSvids: 10 });
  const store = new DirectoryStore({ directory: root, ownership: OWNERSHIP });
  await store.prepare();
  stop = new AbortController();
  const stores = new Map([['directory', store]]);
  attempts = [];
  const onAttempt = (result: StoreResult): void => void attempts.push(result);
  running = new StoredSvids({ cache, stores, onAttempt, random: () => 0, clock, log }).run(stop.signal);
});
afterEach(async () => {
  stop.abort();
  await running;
  directory.remove();
});

function add(id: string, ...selectors: readonly string[]): void {
  const entry = sampleEntry(id, selectors, { storesSvid: true });
  cache.apply({ ...NO_CHANGE, upsertedEntries: [entry], upsertedBundles: [sampleBundle('example.org')] });
  cache.install(new Map([[id, sampleSvid(entry)]]));
}

function logged(text: string): () => boolean {
  return () => readFileSync(directory.join('log'), 'utf8').includes(text);
}

function certificate(place: string): string {
  const pem = readFileSync(`${root}/${place}/svid.pem`, 'utf8');
  return Buffer.from(pem.replaceAll(/-----.*-----/g, ''), 'base64').toString();
}

describe('stored SVIDs', () => {
  it('of two entries with one name are those of the first, and the log tells the other', async () => {
    add('first', 'directory:name:db');
    await waitFor('the first', () => certificate('db') === 'certificate of first');
    add('second', 'directory:name:db');
    await waitFor('the warning', logged('db is that of the older entry first'));
    expect(certificate('db')).toBe('certificate of first');
    cache.apply({ ...NO_CHANGE, removedEntryIds: ['first'] });
    await waitFor('the second to take its place', () => certificate('db') === 'certificate of second');
  });

  it.each([
    ['leave the folder', 'directory:name:../db'],
    ['are hidden', 'directory:name:..data'],
    ['are none', 'directory:path:db'],
    ['are of another store', 'vault:name:db'],
  ])('with names that %s are not written, which the log tells', async (_, selector) => {
    add('astray', selector);
    await waitFor('the warning', logged('has no place'));
    expect(attempts).toEqual(['misplaced']);
    add('well', 'directory:name:well');
    await waitFor('the next entry', () => certificate('well') === 'certificate of well');
  });

  it('go with their entry, and folders of others stay', async () => {
    mkdirSync(`${root}/mine`);
    add('web', 'directory:name:web');
    await waitFor('the files', () => certificate('web') !== '');
    cache.apply({ ...NO_CHANGE, removedEntryIds: ['web'] });
    await waitFor('the files to go', () => attempts.includes('removed'));
    expect(attempts.filter((result) => result !== 'unchanged')).toEqual(['stored', 'removed']);
    expect(existsSync(`${root}/web`)).toBe(false);
    expect(existsSync(`${root}/mine`)).toBe(true);
  });

  it('are those of one agent: another one is refused the folder', async () => {
    const other = new DirectoryStore({ directory: root, ownership: OWNERSHIP });
    await expect(other.prepare()).rejects.toThrow('another process keeps the files');
  });
});
