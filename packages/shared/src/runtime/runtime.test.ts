import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.js';
import { addSeconds, dateFromUnixSeconds, sleep, systemClock, unixSeconds } from './clock.js';
import { createLogger } from './logger.js';

describe('sleeping', () => {
  it('ends when its time has come', async () => {
    const before = systemClock.monotonicMs();
    const keepAlive = setInterval(() => undefined, 1000);
    await sleep(systemClock, 20);
    clearInterval(keepAlive);
    expect(systemClock.monotonicMs() - before).toBeGreaterThanOrEqual(18);
  });

  it('ends at once when it is cancelled, before or while it waits', async () => {
    await expect(sleep(systemClock, 60_000, AbortSignal.abort())).rejects.toMatchObject({
      reason: 'cancelled',
    });
    const controller = new AbortController();
    const waiting = sleep(systemClock, 60_000, controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ reason: 'cancelled' });
  });
});

describe('timestamps', () => {
  it('are whole seconds on the wire', () => {
    const date = new Date('2026-01-02T03:04:05.678Z');
    expect(dateFromUnixSeconds(unixSeconds(date)).toISOString()).toBe('2026-01-02T03:04:05.000Z');
    expect(addSeconds(date, -5).toISOString()).toBe('2026-01-02T03:04:00.678Z');
  });
});

describe('backoff', () => {
  it('stays between half of the ceiling and the ceiling, which doubles up to the maximum', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (chance) => {
        const backoff = new Backoff({ initialMs: 100, maximumMs: 1000, random: () => chance });
        for (const ceiling of [100, 200, 400, 800, 1000, 1000]) {
          const delay = backoff.nextDelayMs();
          expect(delay).toBeGreaterThanOrEqual(ceiling / 2);
          expect(delay).toBeLessThanOrEqual(ceiling);
        }
        backoff.reset();
        expect(backoff.nextDelayMs()).toBeLessThanOrEqual(100);
      }),
    );
  });
});

describe('a logger', () => {
  function linesOf(format: 'json' | 'text', write: (log: ReturnType<typeof createLogger>) => void): string[] {
    const folder = mkdtempSync(join(tmpdir(), 'bonafide-log-'));
    try {
      const file = join(folder, 'log');
      write(createLogger({ level: 'info', format, file }));
      return readFileSync(file, 'utf8').trimEnd().split('\n');
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('writes one JSON object a line, with its level by name and secrets hidden', () => {
    const [line = ''] = linesOf('json', (log) => {
      log.debug('not written');
      log.info({ token: 'hush', agent: 'a' }, 'hello');
    });
    expect(JSON.parse(line)).toMatchObject({ level: 'info', msg: 'hello', agent: 'a', token: '[redacted]' });
    expect(line).not.toContain('hush');
  });

  it('goes on when the disk is full, without keeping ever more lines in memory', () => {
    const log = createLogger({ level: 'info', format: 'json', file: '/dev/full' });
    const before = process.memoryUsage().heapUsed;
    for (let line = 0; line < 50_000; line += 1) log.info({ text: 'x'.repeat(1000) }, 'hello');
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000);
  });

  it('says which file it cannot open', () => {
    const file = '/proc/no-such-folder/log';
    expect(() => createLogger({ level: 'info', format: 'json', file })).toThrow(
      /^cannot open the log_file \/proc\/no-such-folder\/log: ENOENT/,
    );
  });

  it('writes text that a person and a grep can read', () => {
    const [line = ''] = linesOf('text', (log) => {
      log.warn({ path: '/a b', n: 3, err: new Error('broken') }, 'hello there');
    });
    const text = line.replace(/ error_stack="(?:[^"\\]|\\.)*"/, '');
    expect(text).toMatch(/^time="[^"]+" level=warning msg="hello there" error=broken n=3 path="\/a b"$/);
  });

  it('hides the secrets that a logger of one call was given', () => {
    const [line = ''] = linesOf('text', (log) => {
      log
        .child({ token: 'hush', requestId: 'a' })
        .info({ privateKey: 'hush', deep: { joinToken: 'hush' } }, 'hello');
    });
    expect(line).not.toContain('hush');
    expect(line).toContain('private_key="[redacted]"');
  });
});
