import { createLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { ReadRetries } from './read-retries.js';

it('tries again each second, says so once for each outage, and stops when told to', async () => {
  const directory = createTemporaryDirectory();
  const file = directory.join('log');
  const log = createLogger({ level: 'info', format: 'json', file });
  const clock = new FakeClock();
  let tries = 0;
  let isWell = false;
  const retries: ReadRetries = new ReadRetries({
    ...{ clock, log },
    again: () => {
      tries += 1;
      if (isWell) retries.succeeded();
      else retries.failed(new Error('connection lost'));
    },
  });
  retries.failed(new Error('connection lost'));
  retries.failed(new Error('connection lost')); // of another commit
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(10_000);
  expect(tries).toBe(10);
  isWell = true;
  await clock.advance(10_000);
  expect([tries, clock.pendingTimers]).toEqual([11, 0]);
  retries.failed(new Error('connection lost'));
  retries.stop();
  expect(clock.pendingTimers).toBe(0);
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  expect(lines.filter((line) => line.includes('cannot read what was just written'))).toHaveLength(2);
  expect(lines.filter((line) => line.includes('could be read'))).toHaveLength(1);
  directory.remove();
});
