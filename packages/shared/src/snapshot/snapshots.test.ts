import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../runtime/clock.js';
import { createLogger, type Logger } from '../runtime/logger.js';
import { Snapshots } from './snapshots.js';

let folder: string;
let log: Logger;
let snapshots: Snapshots;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bonafide-snapshot-'));
  log = createLogger({ level: 'info', format: 'json', file: join(folder, 'log') });
  snapshots = new Snapshots({
    program: 'bonafide-test',
    version: '1.2.3',
    config: () => ({ server: { token: 'hush-hush-hush', port: 8081 } }),
    health: () => [{ name: 'server', ok: true, since: new Date(0) }],
    counts: () => ({ entries: 3 }),
    metrics: { text: () => Promise.resolve('metric 1\n') },
    dataFolder: folder,
    clock: systemClock,
    log,
  });
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('a snapshot', () => {
  it('says what the program is, how it is configured, how it is, and what it complained of', async () => {
    log.info('all is well');
    log.child({ part: 'x' }).warn({ token: 'another-secret' }, 'refused hush-hush-hush');
    log.error('worse');
    const snapshot = await snapshots.take();
    expect(snapshot).toMatchObject({
      program: 'bonafide-test',
      version: '1.2.3',
      node_version: process.version,
      log_level: 'info',
      health: [{ name: 'server', ok: true, since: '1970-01-01T00:00:00.000Z' }],
      counts: { entries: 3 },
      configuration: { server: { token: '[redacted]', port: 8081 } },
      metrics: 'metric 1\n',
      problems: {
        lines: [{ msg: 'refused [redacted]', part: 'x', token: '[redacted]' }, { msg: 'worse' }],
        dropped: 0,
      },
      process: { pid: process.pid, event_loop: { watched_ms: 500 } },
    });
    expect(JSON.stringify(snapshot)).not.toMatch(/hush-hush|another-secret/);
  });

  it('remembers a bounded number of lines of bounded length', async () => {
    for (let line = 0; line < 1000; line += 1) log.warn({ line, text: 'x'.repeat(10_000) }, 'again');
    const text = JSON.stringify(await snapshots.take());
    expect(text).toContain('"dropped":800');
    expect(text.length).toBeLessThan(200 * 5000);
  });

  it('profiles the processor for as long as it may, one at a time, and not beyond the call', async () => {
    expect(() => snapshots.profileCpu(0, AbortSignal.timeout(1))).toThrow('1 to 30');
    expect(() => snapshots.profileCpu(31, AbortSignal.timeout(1))).toThrow('1 to 30');
    const call = new AbortController();
    const first = snapshots.profileCpu(30, call.signal);
    await expect(snapshots.profileCpu(1, call.signal)).rejects.toThrow('another profile');
    call.abort();
    await expect(first).rejects.toMatchObject({ reason: 'cancelled' });
    const profile: unknown = JSON.parse(await snapshots.profileCpu(1, new AbortController().signal));
    expect(profile).toMatchObject({ nodes: expect.any(Array) as unknown });
  });
});
