import { createHash } from 'node:crypto';
import { appendFileSync, readdirSync, truncateSync, utimesSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { BinaryDigests } from './binary-digest.js';

let directory: TemporaryDirectory;
let digests: BinaryDigests;
beforeEach(() => {
  directory = createTemporaryDirectory();
  digests = new BinaryDigests();
});
afterEach(() => {
  directory.remove();
});

/** So many that nobody who looks every few milliseconds misses that they are hashed. */
const HOLE_BYTES = 300_000_000;
const unlimited = { sizeLimit: 0, signal: new AbortController().signal };

function file(name: string, content: string | Buffer): string {
  const path = directory.join(name);
  writeFileSync(path, content);
  return path;
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('binary digest', () => {
  it('is that of the content, whatever its size', async () => {
    for (const content of ['', 'a', Buffer.alloc(256 * 1024, 1), Buffer.alloc(1_000_000, 2)]) {
      expect(await digests.sha256(file('binary', content), unlimited)).toBe(sha256(content));
    }
  });

  it('notices a change that keeps size and modification time', async () => {
    const path = file('binary', 'good');
    const { atime, mtime } = statSync(path);
    expect(await digests.sha256(path, unlimited)).toBe(sha256('good'));
    await waitFor('the clock of the file system to move', () => {
      writeFileSync(path, 'evil');
      utimesSync(path, atime, mtime);
      return (
        statSync(path, { bigint: true }).ctimeNs >
        BigInt(Math.round(mtime.getTime())) * 1_000_000n + 20_000_000n
      );
    });
    expect(await digests.sha256(path, unlimited)).toBe(sha256('evil'));
  });

  it('refuses a file above the limit and takes one of exactly that size', async () => {
    const path = file('binary', 'x'.repeat(1000));
    await expect(digests.sha256(path, { ...unlimited, sizeLimit: 999 })).rejects.toThrow(
      'has 1000 bytes, more than the workload_size_limit of 999',
    );
    expect(await digests.sha256(path, { ...unlimited, sizeLimit: 1000 })).toBe(sha256('x'.repeat(1000)));
  });

  it('computes once for callers that come together, and remembers only so many', async () => {
    const few = new BinaryDigests({ capacity: 2 });
    const path = file('binary', Buffer.alloc(5_000_000, 7));
    const all = await Promise.all(Array.from({ length: 50 }, () => few.sha256(path, unlimited)));
    expect(new Set(all)).toEqual(new Set([sha256(Buffer.alloc(5_000_000, 7))]));
    for (let index = 0; index < 10; index += 1) {
      expect(await few.sha256(file(`other${index}`, `other${index}`), unlimited)).toBe(
        sha256(`other${index}`),
      );
    }
    expect(await few.sha256(path, unlimited)).toBe(all[0]);
  });

  it('stops hashing once nobody waits, but not while somebody does', async () => {
    const path = directory.join('endless');
    writeFileSync(path, '');
    truncateSync(path, 200 * 2 ** 30); // a hole of 200 GB: minutes of hashing
    const before = openFiles();
    const first = new AbortController();
    const second = new AbortController();
    const waiting = [first, second].map(async ({ signal }) => {
      await expect(digests.sha256(path, { sizeLimit: 0, signal })).rejects.toThrow('cancelled');
    });
    await waitFor('the file to be open', () => openFiles() > before);
    first.abort();
    await waiting[0];
    expect(openFiles()).toBeGreaterThan(before);
    second.abort();
    await waiting[1];
    await waitFor('the file to be closed', () => openFiles() === before);
    const aborted = new AbortController();
    aborted.abort();
    await expect(digests.sha256(path, { sizeLimit: 0, signal: aborted.signal })).rejects.toThrow('cancelled');
    await waitFor('the file to be closed', () => openFiles() === before);
  });

  it('starts anew for who comes while an abandoned computation is being stopped', async () => {
    const path = file('binary', '');
    truncateSync(path, HOLE_BYTES);
    const abort = new AbortController();
    const before = openFiles();
    const abandoned = digests.sha256(path, { sizeLimit: 0, signal: abort.signal });
    await waitFor('the file to be open', () => openFiles() > before, { intervalMs: 1 });
    abort.abort();
    await expect(abandoned).rejects.toThrow('cancelled');
    expect(await digests.sha256(path, unlimited)).toBe(sha256(Buffer.alloc(HOLE_BYTES)));
  });

  it('refuses a file that changes while it is hashed', async () => {
    const path = file('binary', '');
    truncateSync(path, 500_000_000);
    let isSettled = false;
    const digest = digests.sha256(path, unlimited).finally(() => (isSettled = true));
    digest.catch(() => undefined); // looked at below
    await waitFor('the digest to end', () => {
      appendFileSync(path, 'more');
      return isSettled;
    });
    await expect(digest).rejects.toThrow('changed while it was hashed');
  });

  it('fails for what cannot be opened', async () => {
    await expect(digests.sha256(directory.join('missing'), unlimited)).rejects.toThrow('ENOENT');
  });
});
