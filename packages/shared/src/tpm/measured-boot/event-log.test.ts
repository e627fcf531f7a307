import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasReason } from '../../errors/bonafide-error.js';
import { PCR_BANKS, type PcrBank } from '../algorithm.js';
import { recordedBoot, uint32, writeEventLog, writeLegacyLog } from './boot-log/boot-log-fixtures.js';
import {
  MAXIMUM_EVENT_LOG_BYTES,
  MAXIMUM_EVENTS,
  measurementsOf,
  parseEventLog,
  replayEventLog,
  type LogEvent,
} from './event-log.js';

const boots = ['sb-on', 'sb-off'] as const;
const logged = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];

function event(pcr: number, type: number, text: string, banks: readonly PcrBank[] = ['sha256']): LogEvent {
  const data = Buffer.from(text, 'latin1');
  const digests = new Map(banks.map((bank) => [bank, createHash(bank).update(data).digest()]));
  return { index: 0, pcr, type, digests, data };
}

describe.each(boots)('the log of the recorded boot %s', (name) => {
  const { raw, log, pcrs } = recordedBoot(name);

  it.each(['sha1', 'sha256'] as const)('leads to the PCRs of the machine in the %s bank', (bank) => {
    const replayed = replayEventLog(log, bank);

    expect([...replayed.keys()].sort((a, b) => a - b)).toEqual(logged);
    for (const [pcr, value] of replayed) {
      expect([pcr, value.toString('hex')]).toEqual([pcr, pcrs.get(bank)?.get(pcr)?.toString('hex')]);
    }
  });

  it('is the same when written again', () => {
    expect(log.banks).toEqual(['sha1', 'sha256']);
    expect(writeEventLog(log).equals(raw)).toBe(true);
  });

  it('says nothing of a bank that the firmware left alone', () => {
    expect(() => replayEventLog(log, 'sha384')).toThrow('no sha384 digests');
  });

  it('is refused wherever it is cut, except between two events', () => {
    const ends = new Set<number>();
    for (let count = 0; count <= log.events.length; count++) {
      ends.add(writeEventLog({ ...log, events: log.events.slice(0, count) }).length);
    }
    for (let length = 0; length < raw.length; length += 1) {
      const cut = raw.subarray(0, length);
      if (ends.has(length)) {
        expect(parseEventLog(cut).events.length).toBeLessThan(log.events.length);
      } else {
        expect(() => parseEventLog(cut)).toThrow('ends too early');
      }
    }
  });
});

describe('parseEventLog', () => {
  it('reads a log of TPM 1.2, which has SHA-1 alone', () => {
    const { log, pcrs } = recordedBoot('sb-on');
    const legacy = parseEventLog(writeLegacyLog(log.events));

    expect(legacy.banks).toEqual(['sha1']);
    expect(legacy.events.length).toBe(log.events.length);
    for (const [pcr, value] of replayEventLog(legacy, 'sha1')) {
      expect(value).toEqual(pcrs.get('sha1')?.get(pcr));
    }
    expect(() => replayEventLog(legacy, 'sha256')).toThrow('no sha256 digests');
  });

  it.each([0, 3, 4])('starts PCR 0 from the locality %i that the firmware states', (locality) => {
    const statement = event(0, 3, `StartupLocality\0${String.fromCharCode(locality)}`);
    const log = parseEventLog(
      writeEventLog({ banks: ['sha256'], events: [statement, event(0, 8, 'firmware')] }),
    );
    const start = Buffer.alloc(32);
    start[31] = locality;
    const digest = createHash('sha256').update('firmware').digest();

    expect(log.startupLocality).toBe(locality);
    expect(replayEventLog(log, 'sha256').get(0)).toEqual(
      createHash('sha256').update(start).update(digest).digest(),
    );
  });

  it.each([
    ['an unknown locality', [event(0, 3, 'StartupLocality\0\x01')]],
    ['a locality stated twice', [event(0, 3, 'StartupLocality\0\x03'), event(0, 3, 'StartupLocality\0\x03')]],
    ['a locality stated too late', [event(0, 8, 'firmware'), event(0, 3, 'StartupLocality\0\x03')]],
    ['a locality of another PCR', [event(1, 3, 'StartupLocality\0\x03')]],
    ['a locality that is cut', [event(0, 3, 'StartupLocality\0')]],
    ['a locality with more behind it', [event(0, 3, 'StartupLocality\0\x03\x03')]],
    ['a measurement into PCR 24', [event(24, 8, 'x')]],
    ['an event without digests', [{ ...event(0, 8, 'x'), digests: new Map() }]],
    ['an extra digest', [event(0, 8, 'x', ['sha256', 'sha384'])]],
    ['the digest of another bank', [event(0, 8, 'x', ['sha384'])]],
  ])('refuses %s', (_, events) => {
    expect(() => parseEventLog(writeEventLog({ banks: ['sha256'], events }))).toThrow(
      expect.objectContaining({ reason: 'invalid_argument' }),
    );
  });

  it('refuses the same digest twice in one event', () => {
    const banks = ['sha1', 'sha256'] as const;
    const good = writeEventLog({ banks, events: [event(0, 8, 'x', banks)] });
    const empty = writeEventLog({ banks, events: [] });
    const digest = Buffer.concat([Buffer.from([0x0b, 0x00]), createHash('sha256').update('x').digest()]);
    const twice = [empty, uint32(0), uint32(8), uint32(2), digest, digest, uint32(1), Buffer.from('x')];

    expect(parseEventLog(good).events.length).toBe(1);
    expect(() => parseEventLog(Buffer.concat(twice))).toThrow('unexpected digest of 0xb');
  });

  it.each([
    ['no algorithm', []],
    ['one algorithm twice', ['sha256', 'sha256']],
  ] as const)('refuses a header that names %s', (_, banks) => {
    expect(() => parseEventLog(writeEventLog({ banks, events: [] }))).toThrow('the boot log names');
  });

  it('refuses a header with the wrong size of a digest', () => {
    const raw = writeEventLog({ banks: ['sha256'], events: [] });
    raw.writeUInt16LE(20, raw.length - 3);

    expect(() => parseEventLog(raw)).toThrow('digests of 20 bytes');
  });

  it('skips the digests of an algorithm that no bank of ours has', () => {
    const raw = writeEventLog({ banks: ['sha256'], events: [event(4, 8, 'x')] });
    const sm3 = Buffer.from(raw);
    const header = writeEventLog({ banks: ['sha256'], events: [] }).length;
    sm3.writeUInt16LE(0x12, header - 5);
    sm3.writeUInt16LE(0x12, header + 12);
    const log = parseEventLog(sm3);

    expect(log.banks).toEqual([]);
    expect(log.events[0]?.digests.size).toBe(0);
  });

  it('never extends EV_NO_ACTION, whatever PCR it names', () => {
    const events = [event(0xffffffff, 3, 'a note'), event(7, 3, 'another')];
    const log = parseEventLog(writeEventLog({ banks: ['sha256'], events }));

    expect(log.events.length).toBe(2);
    expect(measurementsOf(log)).toEqual([]);
    expect(replayEventLog(log, 'sha256').size).toBe(0);
  });

  it('is bounded in bytes, in events and in the size of an event', () => {
    const small = event(0, 8, '');
    const most = Array.from({ length: MAXIMUM_EVENTS - 1 }, () => small);
    const long = Buffer.concat([writeEventLog({ banks: ['sha256'], events: [small] })]);
    long.writeUInt32LE(0xffffffff, long.length - 4);

    expect(parseEventLog(writeEventLog({ banks: ['sha256'], events: most })).events.length).toBe(most.length);
    expect(() => parseEventLog(writeEventLog({ banks: ['sha256'], events: [...most, small] }))).toThrow(
      `more than ${MAXIMUM_EVENTS} events`,
    );
    expect(() => parseEventLog(long)).toThrow('4294967295 bytes');
    expect(() => parseEventLog(Buffer.alloc(MAXIMUM_EVENT_LOG_BYTES + 1))).toThrow('expected at most');
  });

  it('reads back whatever can be written', () => {
    const banks = fc.subarray([...PCR_BANKS], { minLength: 1 });
    const anyEvent = fc.record({
      pcr: fc.nat(23),
      type: fc.constantFrom(4, 8, 13, 0x80000001),
      text: fc.string(),
    });
    fc.assert(
      fc.property(banks, fc.array(anyEvent, { minLength: 1, maxLength: 20 }), (written, events) => {
        const log = parseEventLog(
          writeEventLog({ banks: written, events: events.map((e) => event(e.pcr, e.type, e.text, written)) }),
        );
        expect(log.banks).toEqual(written);
        expect(log.events.map(({ pcr, type }) => ({ pcr, type }))).toEqual(
          events.map(({ pcr, type }) => ({ pcr, type })),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('survives random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          parseEventLog(Buffer.from(bytes));
        } catch (error) {
          expect(hasReason(error, 'invalid_argument')).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
