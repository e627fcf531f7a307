import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openPidfd } from './peer-credentials.js';
import { isPidfdAlive, ProcessExits } from './process-exits.js';

const children: ChildProcess[] = [];
const pidfds: number[] = [];

async function startProcess(): Promise<{ child: ChildProcess; pidfd: number }> {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  const pidfd = openPidfd(child.pid ?? 0);
  pidfds.push(pidfd);
  return { child, pidfd };
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const pidfd of pidfds.splice(0)) closeSync(pidfd);
});

describe('process exits', () => {
  it('sees one exit among processes that go on, until it is unwatched', async () => {
    const exits = new ProcessExits();
    const processes = await Promise.all([startProcess(), startProcess(), startProcess()]);
    for (const { pidfd } of processes) exits.watch(pidfd);
    expect(exits.exited()).toEqual([]);
    const [, second] = processes;
    second.child.kill('SIGKILL');
    await vi.waitFor(
      () => {
        expect(exits.exited()).toEqual([second.pidfd]);
      },
      { timeout: 30_000 },
    );
    expect(processes.map(({ pidfd }) => isPidfdAlive(pidfd))).toEqual([true, false, true]);
    exits.unwatch(second.pidfd);
    expect(exits.exited()).toEqual([]);
    exits.close();
  });

  it('refuses a descriptor that is not open, and a pid that nobody has', () => {
    const exits = new ProcessExits();
    expect(() => {
      exits.watch(1_000_000);
    }).toThrow('epoll_ctl failed with errno 9');
    expect(() => isPidfdAlive(1_000_000)).toThrow('poll failed with errno 9');
    expect(() => openPidfd(2 ** 30)).toThrow('pidfd_open failed with errno');
    exits.close();
    exits.close();
    expect(exits.exited()).toEqual([]);
  });
});
