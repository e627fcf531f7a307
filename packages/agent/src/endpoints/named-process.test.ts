import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { waitFor } from '@bonafide/testing/wait-for';
import { holdNamedProcess } from './named-process.js';

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('a process named by its pid', () => {
  it('is held: alive until it exits, its facts its own, and no descriptor stays open', async () => {
    const before = openFiles();
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(child, 'spawn');
    const between = openFiles();
    const held = holdNamedProcess(child.pid ?? 0);
    expect(held).toMatchObject({ pid: child.pid, uid: process.geteuid?.(), gid: process.getegid?.() });
    expect(held.isAlive()).toBe(true);
    await waitFor(
      'the child to run node',
      () => readlinkSync(join(held.procPath, 'exe')) === process.execPath,
    );
    child.stdin.end();
    await once(child, 'exit');
    expect(held.isAlive()).toBe(false);
    expect(() => readlinkSync(join(held.procPath, 'exe'))).toThrow();
    held.close();
    held.close();
    expect(held.isAlive()).toBe(false);
    await waitFor('all descriptors to be closed', () => openFiles() <= before);
    expect(between).toBeGreaterThanOrEqual(before);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 31])('refuses what is no pid: %d', (pid) => {
    expect(() => holdNamedProcess(pid)).toThrow('is no process ID');
  });

  it('says so when there is none', () => {
    const before = openFiles();
    expect(() => holdNamedProcess(2 ** 22)).toThrow('there is no process');
    expect(openFiles()).toBe(before);
  });
});
