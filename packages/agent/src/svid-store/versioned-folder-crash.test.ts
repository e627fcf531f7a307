import { readdirSync, readFileSync } from 'node:fs';
import type * as FileSystem from 'node:fs/promises';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { linesUntilKilled } from '@bonafide/testing/lines-until-killed';
import { describe, expect, it, vi } from 'vitest';
import { VersionedFolder } from './versioned-folder.js';

const WRITER = new URL('crash-writer.ts', import.meta.url);
const MOST_CALLS = 200;

/** How many calls of the file system are still answered; none is after that, as after a kill. */
const life = vi.hoisted(() => ({ callsLeft: Infinity, onEnd: (): void => undefined }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof FileSystem>();
  const mortal = (call: unknown): unknown => {
    if (typeof call !== 'function') return call;
    return (...args: unknown[]): unknown => {
      if (life.callsLeft <= 0) {
        life.onEnd();
        return new Promise(() => undefined);
      }
      life.callsLeft -= 1;
      return Reflect.apply(call, undefined, args) as unknown;
    };
  };
  return Object.fromEntries(Object.entries(real).map(([name, call]) => [name, mortal(call)]));
});

function pair(content: string): { name: string; content: string; mode: number }[] {
  return [
    { name: 'svid.pem', content, mode: 0o644 },
    { name: 'svid_key.pem', content, mode: 0o600 },
  ];
}

async function written(path: string, content: string): Promise<void> {
  const folder = new VersionedFolder({ path, ownership: { uid: undefined, gid: undefined } });
  await folder.prepare();
  await folder.replace(pair(content));
}

/** @returns whether it came to its end. */
async function writtenUntil(callsLeft: number, path: string, content: string): Promise<boolean> {
  const killed = new Promise<false>((resolve) => {
    life.onEnd = () => {
      resolve(false);
    };
  });
  life.callsLeft = callsLeft;
  const isDone = await Promise.race([written(path, content).then(() => true), killed]);
  life.callsLeft = Infinity;
  return isDone;
}

describe('files that change together', () => {
  it('are a pair after whichever call the writer is killed, and the next writer clears what was left', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('svid');
    await written(path, 'former');
    let calls = 0;
    for (let isDone = false; !isDone; calls += 1) {
      expect(calls).toBeLessThan(MOST_CALLS);
      isDone = await writtenUntil(calls, path, 'next');
      const certificate = readFileSync(`${path}/svid.pem`, 'utf8');
      expect(readFileSync(`${path}/svid_key.pem`, 'utf8')).toBe(certificate);
      expect(isDone ? ['next'] : ['former', 'next']).toContain(certificate);
      await written(path, 'former');
      expect(readdirSync(path).filter((name) => name.startsWith('..')).length).toBeLessThanOrEqual(3);
    }
    expect(calls).toBeGreaterThan(10);
  });

  it('are the last pair that was told or the next, when a process is killed', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('svid');
    const told = await linesUntilKilled(WRITER, [path], 5);
    const certificate = readFileSync(`${path}/svid.pem`, 'utf8');
    expect(readFileSync(`${path}/svid_key.pem`, 'utf8')).toBe(certificate);
    const [pid = '', last = ''] = (told.at(-1) ?? '').split(' ');
    expect([`${pid} ${last}`, `${pid} ${Number(last) + 1}`]).toContain(certificate);
  });
});
