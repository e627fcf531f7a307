import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { openNotifySocket } from '@bonafide/testing/notify-socket';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { openServiceNotice } from './service-notice.js';

const PID = 4711;

function notice(environment: Readonly<Record<string, string>>) {
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => lines.push(line) });
  const clock = new FakeClock();
  return { clock, lines, notice: openServiceNotice({ environment, pid: PID, clock, log }) };
}

describe('what a service manager is told', () => {
  it.each(['in a file', 'in the abstract namespace'])('arrives at a socket %s', (where) => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'notify');
    using receiver = openNotifySocket(where === 'in a file' ? path : `@${path}`);
    const { notice: told, lines } = notice({ NOTIFY_SOCKET: receiver.path });
    told.status('waiting for\nREADY=1');
    told.ready('serving');
    told.reloading();
    told.ready();
    told.stopping();
    expect(receiver.messages()).toEqual([
      'STATUS=waiting for READY=1',
      'READY=1\nSTATUS=serving',
      expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d+$/u),
      'READY=1',
      'STOPPING=1',
    ]);
    expect(lines).toEqual([]);
  });

  it('is nothing without a socket', () => {
    for (const environment of [{}, { NOTIFY_SOCKET: '' }]) {
      const { notice: told, lines } = notice({ ...environment, WATCHDOG_USEC: '1000' });
      told.ready();
      told.stopping();
      expect(lines).toEqual([]);
    }
  });

  it.each(['relative', '@', '/', 'vsock:2:1', `/${'x'.repeat(108)}`])(
    'is nothing, and logged, when the socket is %s',
    (path) => {
      const { notice: told, lines } = notice({ NOTIFY_SOCKET: path });
      told.ready();
      expect(lines.join('')).toContain('the service manager cannot be told anything');
    },
  );

  it('stops no service when nobody receives it', () => {
    using directory = createTemporaryDirectory();
    const { notice: told, lines } = notice({ NOTIFY_SOCKET: join(directory.path, 'nobody') });
    told.ready();
    expect(lines.join('')).toContain('the service manager is not told');
  });

  it('waits for a receiver whose queue is full, in order, each thing once', async () => {
    using directory = createTemporaryDirectory();
    using receiver = openNotifySocket(join(directory.path, 'notify'));
    const { notice: told, clock } = notice({ NOTIFY_SOCKET: receiver.path });
    // As many as the kernel keeps for a receiver, and a few more, that wait.
    const most = Number(readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8')) + 20;
    const texts = Array.from({ length: most }, (_, index) => `${index}`);
    for (const text of texts) told.status(text);
    told.ready();
    told.ready();
    const expected = [...texts.map((text) => `STATUS=${text}`), 'READY=1'];
    const before = receiver.messages().length;
    expect(before).toBeLessThan(expected.length);
    for (let round = 0; round < most && receiver.messages().length < expected.length; round += 1) {
      await clock.advance(100);
    }
    expect(receiver.messages()).toEqual(expected);
  });
});

describe('the watchdog', () => {
  it('hears of the event loop twice in its time', async () => {
    using directory = createTemporaryDirectory();
    using receiver = openNotifySocket(join(directory.path, 'notify'));
    const { clock } = notice({
      NOTIFY_SOCKET: receiver.path,
      WATCHDOG_USEC: '30000000',
      WATCHDOG_PID: `${PID}`,
    });
    expect(receiver.messages()).toEqual(['WATCHDOG=1']);
    await clock.advance(14_999);
    expect(receiver.messages()).toHaveLength(1);
    await clock.advance(1);
    expect(receiver.messages()).toHaveLength(2);
    await clock.advance(45_000);
    expect(receiver.messages()).toHaveLength(5);
  });

  it.each([
    ['watches another process', { WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }, ''],
    ['has no time', {}, ''],
    ['has a time that is no number', { WATCHDOG_USEC: '-5' }, 'not a number of microseconds'],
    ['has no time to give', { WATCHDOG_USEC: '0' }, 'not a number of microseconds'],
  ])('is told nothing when it %s', async (_, environment, logged) => {
    using directory = createTemporaryDirectory();
    using receiver = openNotifySocket(join(directory.path, 'notify'));
    const { clock, lines } = notice({ NOTIFY_SOCKET: receiver.path, ...environment });
    await clock.advance(10_000);
    expect(receiver.messages()).toEqual([]);
    expect(lines.join('')).toContain(logged);
  });
});
