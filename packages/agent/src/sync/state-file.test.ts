import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleEntry } from '../svid-cache/cache-samples.js';
import { StateFile, type AuthorizedState } from './state-file.js';

const bundle: TrustBundle = (await TestAuthority.create('example.org')).bundle();
const state: AuthorizedState = {
  agentId: parseSpiffeId('spiffe://example.org/spire/agent/join_token/t'),
  cursor: { logId: 'log', revision: 42 },
  entries: [
    sampleEntry('a', ['unix:uid:1'], {
      hint: 'internal',
      dnsNames: ['a.example.org'],
      x509SvidTtlSeconds: 60,
    }),
    sampleEntry('b', ['unix:gid:1', 'unix:uid:2']),
  ],
  bundles: [bundle],
};

let directory: TemporaryDirectory;
let path: string;
beforeEach(() => {
  directory = createTemporaryDirectory();
  path = directory.join('authorized-entries.state');
});
afterEach(() => {
  directory.remove();
});

function open(): StateFile {
  return new StateFile({ path, clock: systemClock, log: silentLogger });
}

async function saved(): Promise<Buffer> {
  const file = open();
  file.save(() => state);
  await file.flush();
  return readFile(path);
}

describe('StateFile', () => {
  it('brings back entries, bundles, position and whose they are, from a file of mode 0600', async () => {
    await saved();
    expect(await open().load()).toEqual(state);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('brings back a state without a position', async () => {
    const file = open();
    file.save(() => ({ ...state, cursor: undefined }));
    await file.flush();
    expect((await open().load())?.cursor).toBeUndefined();
  });

  it('has nothing to bring back when there is no file, or it was deleted', async () => {
    expect(await open().load()).toBeUndefined();
    await saved();
    const file = open();
    file.save(() => state);
    await file.delete();
    await file.delete();
    expect(await open().load()).toBeUndefined();
  });

  it('ignores a file that is damaged anywhere', async () => {
    const whole = await saved();
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (index, change) => {
        const damaged = Buffer.from(whole);
        damaged[index] = (damaged[index] ?? 0) ^ change;
        await writeFile(path, damaged);
        const loaded = await open().load();
        // White space in the header may change without changing what it says.
        if (loaded !== undefined) expect({ ...loaded, agentId: '' }).toEqual({ ...state, agentId: '' });
      }),
      { numRuns: 200 },
    );
    for (const cut of [0, 1, 50, whole.length - 1]) {
      await writeFile(path, whole.subarray(0, cut));
      expect(await open().load()).toBeUndefined();
    }
  });

  it('writes at most once a second, and the latest state then', async () => {
    const clock = new FakeClock();
    const file = new StateFile({ path, clock, log: silentLogger });
    let formatted = 0;
    const numbered = (revision: number) => (): AuthorizedState => {
      formatted += 1;
      return { ...state, cursor: { logId: 'log', revision } };
    };
    file.save(numbered(1));
    await waitFor('the first write', () => clock.pendingTimers === 1);
    for (let revision = 2; revision <= 50; revision += 1) file.save(numbered(revision));
    expect(formatted).toBe(1);
    await clock.advance(1000);
    await waitFor('the second write', () => formatted === 2 && clock.pendingTimers === 1);
    await file.flush();
    expect((await open().load())?.cursor?.revision).toBe(50);
    expect(formatted).toBe(2);
  });

  it('tries again when it could not be written, with growing pauses, and keeps nobody waiting who flushes', async () => {
    const clock = new FakeClock();
    const warnings: string[] = [];
    const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
      warn: (_fields: object, message: string) => warnings.push(message),
    });
    // No file can take the place of a folder.
    await mkdir(path);
    const file = new StateFile({ path, clock, log });
    file.save(() => state);
    for (const count of [1, 2, 3]) {
      await waitFor('a failure', () => warnings.length === count && clock.pendingTimers === 1);
      if (count < 3) await clock.advance(60_000);
    }
    expect(warnings[0]).toContain('cannot keep the entries on disk');
    await file.flush();
    expect(warnings).toHaveLength(4);

    await rmdir(path);
    await clock.advance(60_000);
    await waitFor('the state on disk', () => existsSync(path));
    expect(warnings).toHaveLength(4);
    expect(await open().load()).toEqual(state);
  });
});
