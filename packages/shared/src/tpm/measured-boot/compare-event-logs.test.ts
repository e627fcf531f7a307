import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { PcrBank } from '../algorithm.js';
import { recordedBoot, uint32, writeEventLog } from './boot-log/boot-log-fixtures.js';
import { LOGGED_PCRS } from './boot-state.js';
import {
  bootLogSummarySchema,
  firstDifference,
  type EventAtDifference,
  MAXIMUM_SUMMARY_BYTES,
  summarizeEventLog,
} from './compare-event-logs.js';
import { describeEvent } from './describe-event.js';
import { measurementsOf, parseEventLog, type EventLog, type LogEvent } from './event-log.js';

const banks: readonly PcrBank[] = ['sha1', 'sha256'];
const { log } = recordedBoot('sb-on');
const summary = summarizeEventLog(log, 'sha256');

function measured(pcr: number, text: string): Omit<LogEvent, 'index'> {
  const data = Buffer.from(text);
  return {
    pcr,
    type: 0xd,
    data,
    digests: new Map(banks.map((bank) => [bank, createHash(bank).update(data).digest()])),
  };
}

const told = ({ type, data, digests }: Omit<LogEvent, 'index'>): EventAtDifference => ({
  description: describeEvent({ type, data }),
  digestStart: digests.get('sha256')?.toString('hex', 0, 8) ?? '',
});

const logOf = (events: readonly Omit<LogEvent, 'index'>[]): EventLog =>
  parseEventLog(writeEventLog({ banks, events }));

describe('summarizeEventLog', () => {
  it('is what the schema of a stored summary says', () => {
    expect(bootLogSummarySchema.parse(JSON.parse(JSON.stringify(summary)))).toEqual(summary);
    expect(summary.pcrs.map(({ pcr }) => pcr)).toEqual(LOGGED_PCRS);
    expect(JSON.stringify(summary).length).toBeLessThan(8 * 1024);
  });

  it.each([
    ['many events', 19_000, 8],
    ['long events', 1000, 1000],
    ['events that look like JSON', 1000, 400],
  ])('stays within its size for a log of %s', (_, count, length) => {
    const events = Array.from({ length: count }, (__, place) =>
      measured(place % 24, `${place}`.padEnd(length, '"\\')),
    );
    const large = summarizeEventLog(logOf(events), 'sha256');

    expect(JSON.stringify(large).length).toBeLessThanOrEqual(MAXIMUM_SUMMARY_BYTES);
    expect(bootLogSummarySchema.parse(large).pcrs.reduce((sum, pcr) => sum + pcr.count, 0)).toBe(count);
  });

  it('refuses a bank that the log lacks', () => {
    expect(() => summarizeEventLog(log, 'sha512')).toThrow('no sha512 digests');
  });
});

describe('firstDifference', () => {
  it('finds none in the same boot, and none in PCRs that neither boot measured', () => {
    for (let pcr = 0; pcr < 24; pcr++) {
      expect(firstDifference(summary, log, pcr)).toBeUndefined();
    }
  });

  describe.each(LOGGED_PCRS)('in PCR %i', (pcr) => {
    const own = measurementsOf(log, pcr);
    const fresh = measured(pcr, 'something new');
    const middle = Math.floor(own.length / 2);
    const at = (position: number): number => log.events.findIndex((event) => event === own[position]);

    it.each([0, middle, own.length - 1])('names the event that changed: %i', (position) => {
      const changed = logOf(log.events.with(at(position), { ...fresh, index: 0 }));
      expect(firstDifference(summary, changed, pcr)).toEqual({
        pcr,
        position,
        kind: 'changed',
        before: own.slice(position).map(told)[0],
        after: told(fresh),
      });
    });

    it.each([0, middle, own.length])('names the event that was inserted: %i', (position) => {
      const place = position === own.length ? log.events.length : at(position);
      const longer = logOf(log.events.toSpliced(place, 0, { ...fresh, index: 0 }));
      expect(firstDifference(summary, longer, pcr)).toEqual({
        pcr,
        position,
        kind: 'inserted',
        before: undefined,
        after: told(fresh),
      });
    });

    it.each([0, middle, own.length - 1])('names the event that was dropped: %i', (position) => {
      const dropped = own[position];
      if (dropped === undefined) throw new Error('the recorded log has no such event');
      const difference = firstDifference(summary, logOf(log.events.toSpliced(at(position), 1)), pcr);

      expect(difference).toMatchObject({ pcr, kind: 'dropped', after: undefined });
      expect(difference?.before).toEqual(told(dropped));
    });

    it('finds nothing when another PCR changed', () => {
      const other = logOf([...log.events, measured((pcr + 1) % 24, 'something new')]);
      expect(firstDifference(summary, other, pcr)).toBeUndefined();
    });
  });

  it('names two events that changed places, and the first of several differences', () => {
    const boot = (...texts: readonly string[]): EventLog => logOf(texts.map((text) => measured(4, text)));
    const before = summarizeEventLog(boot('a', 'b', 'c', 'd', 'e'), 'sha1');
    const difference = (...texts: readonly string[]): unknown => firstDifference(before, boot(...texts), 4);

    expect(difference('a', 'c', 'b', 'd', 'e')).toMatchObject({
      position: 1,
      kind: 'moved',
      before: { description: 'EV_IPL: b' },
      after: { description: 'EV_IPL: c' },
    });
    expect(difference('a', 'x', 'c', 'y', 'e')).toMatchObject({
      position: 1,
      kind: 'changed',
      after: { description: 'EV_IPL: x' },
    });
    expect(difference('a', 'x', 'y', 'b', 'c', 'd', 'e')).toMatchObject({
      position: 1,
      kind: 'inserted',
      after: { description: 'EV_IPL: x' },
    });
    expect(difference('a', 'd', 'e')).toMatchObject({
      position: 1,
      kind: 'dropped',
      before: { description: 'EV_IPL: b' },
    });
    expect(difference('a', 'x', 'b', 'c', 'd', 'y')).toMatchObject({
      position: 1,
      kind: 'inserted',
      after: { description: 'EV_IPL: x' },
    });
    expect(difference('a', 'c', 'd', 'y')).toMatchObject({
      position: 1,
      kind: 'dropped',
      before: { description: 'EV_IPL: b' },
    });
    expect(difference()).toMatchObject({
      position: 0,
      kind: 'dropped',
      before: { description: 'EV_IPL: a' },
    });
  });

  it('tells apart equal events in a row', () => {
    const boot = (count: number): EventLog =>
      logOf(Array.from({ length: count }, () => measured(5, 'again')));
    const before = summarizeEventLog(boot(3), 'sha256');

    expect(firstDifference(before, boot(3), 5)).toBeUndefined();
    expect(firstDifference(before, boot(4), 5)).toMatchObject({ position: 3, kind: 'inserted' });
    expect(firstDifference(before, boot(2), 5)).toMatchObject({ position: 2, kind: 'dropped' });
  });

  it('compares as far as a shortened summary remembers', () => {
    const events = Array.from({ length: 5000 }, (_, place) => measured(8, String(place)));
    const before = summarizeEventLog(logOf(events), 'sha256');
    const remembered = before.pcrs[0]?.events.length ?? 0;

    expect(remembered).toBeGreaterThan(10);
    expect(remembered).toBeLessThan(5000);
    expect(firstDifference(before, logOf(events), 8)).toBeUndefined();
    expect(firstDifference(before, logOf(events.with(10, measured(8, 'x'))), 8)).toMatchObject({
      position: 10,
      kind: 'changed',
    });
    expect(firstDifference(before, logOf(events.with(4000, measured(8, 'x'))), 8)).toBeUndefined();
  });

  it('reads the words of a changed boot: the kernel that GRUB loaded', () => {
    const kernel = log.events.findIndex(
      ({ pcr, data }) => pcr === 9 && data.equals(Buffer.from('/vmlinuz\0')),
    );
    const changed = log.events.with(kernel, { ...measured(9, 'other kernel'), index: 0, data: uint32(0) });

    expect(firstDifference(summary, logOf(changed), 9)?.before?.description).toBe('EV_IPL: /vmlinuz');
  });
});
