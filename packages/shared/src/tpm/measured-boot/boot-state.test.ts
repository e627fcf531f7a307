import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hasReason } from '../../errors/bonafide-error.js';
import type { PcrBank } from '../algorithm.js';
import { recordedBoot, writeEventLog } from './boot-log/boot-log-fixtures.js';
import { judgeBoot, LOGGED_PCRS, type BootState, type QuotedPcrs } from './boot-state.js';
import type { LogEvent } from './event-log.js';

const on = recordedBoot('sb-on');
const off = recordedBoot('sb-off');
const banks: readonly PcrBank[] = ['sha1', 'sha256'];
const genuine = {
  on: judgeBoot({ log: on.raw, quoted: on.pcrs }),
  off: judgeBoot({ log: off.raw, quoted: off.pcrs }),
};
type Rewritten = Omit<LogEvent, 'index'>;

/** Undefined when it is refused. */
function judged(events: readonly Rewritten[], quoted: QuotedPcrs): BootState | undefined {
  try {
    return judgeBoot({ log: writeEventLog({ banks, events }), quoted });
  } catch (error) {
    expect(hasReason(error, 'invalid_argument', 'permission_denied')).toBe(true);
    return undefined;
  }
}

function extend(pcrs: QuotedPcrs, pcr: number, events: readonly Rewritten[]): QuotedPcrs {
  return new Map(
    [...pcrs].map(([bank, values]) => {
      const start = values.get(pcr) ?? Buffer.alloc(0);
      const value = events.reduce(
        (before, { digests }) =>
          createHash(bank)
            .update(before)
            .update(digests.get(bank) ?? '')
            .digest(),
        start,
      );
      return [bank, new Map([...values, [pcr, value]])];
    }),
  );
}

describe('judgeBoot', () => {
  it('judges the recorded boots as their EFI variables do', () => {
    expect(genuine.on).toMatchObject({ hasLog: true, secureBoot: { isEnabled: true } });
    expect(genuine.off).toMatchObject({ hasLog: true, secureBoot: { isEnabled: false } });
    expect(genuine.on.summary?.bank).toBe('sha256');
  });

  it('judges what was quoted in the machine', () => {
    const quoted = new Map([['sha256', on.quoted]] as const);

    expect(judgeBoot({ log: on.raw, quoted }).secureBoot).toEqual(genuine.on.secureBoot);
  });

  it.each([
    ['undefined', undefined],
    ['empty', Buffer.alloc(0)],
  ])('calls a log that is %s none', (_, log) => {
    expect(judgeBoot({ log, quoted: on.pcrs })).toEqual({
      hasLog: false,
      secureBoot: undefined,
      secureBootProblem: 'there is no boot log',
      summary: undefined,
    });
  });

  it('proves nothing of Secure Boot without PCR 7, or by SHA-1 alone', () => {
    const sha1 = on.pcrs.get('sha1') ?? new Map<number, Buffer>();
    const without = new Map([...on.quoted].filter(([pcr]) => pcr !== 7));

    for (const quoted of [new Map([['sha1', sha1]] as const), new Map([['sha256', without]] as const)]) {
      const state = judgeBoot({ log: on.raw, quoted });
      expect(state.secureBoot).toBeUndefined();
      expect(state.secureBootProblem).toContain('PCR 7 was not quoted');
    }
  });

  it('refuses a log that lacks a quoted bank', () => {
    const quoted = new Map([...on.pcrs, ['sha384', new Map([[7, Buffer.alloc(48)]])] as const]);

    expect(() => judgeBoot({ log: on.raw, quoted })).toThrow('no sha384 digests');
  });

  it.each(LOGGED_PCRS)('refuses a log that does not lead to PCR %i, in every bank', (pcr) => {
    for (const bank of banks) {
      const quoted = new Map(on.pcrs);
      quoted.set(
        bank,
        new Map([...(on.pcrs.get(bank) ?? []), [pcr, Buffer.alloc(bank === 'sha1' ? 20 : 32, 1)]]),
      );
      expect(() => judgeBoot({ log: on.raw, quoted })).toThrow(`quoted PCR ${pcr} of the ${bank} bank`);
    }
  });

  it('refuses a log that leaves out all events of a PCR', () => {
    for (const pcr of LOGGED_PCRS) {
      expect(
        judged(
          on.log.events.filter((event) => event.pcr !== pcr),
          on.pcrs,
        ),
      ).toBeUndefined();
    }
  });

  it('refuses the log of the other machine', () => {
    expect(judged(on.log.events, off.pcrs)).toBeUndefined();
    expect(judged(off.log.events, on.pcrs)).toBeUndefined();
  });
});

describe.each([
  ['Secure Boot on', on, genuine.on],
  ['Secure Boot off', off, genuine.off],
] as const)('a rewritten log of a machine with %s', (_, boot, truth) => {
  const { pcrs } = boot;
  const events: readonly Rewritten[] = boot.log.events;

  it('is refused when an event is dropped, or comes twice', () => {
    for (const [place, event] of events.entries()) {
      expect(judged(events.toSpliced(place, 1), pcrs)).toBeUndefined();
      expect(judged(events.toSpliced(place, 0, event), pcrs)).toBeUndefined();
    }
  });

  it('is refused when an event is appended or inserted', () => {
    const data = Buffer.from('more');
    const digests = new Map(banks.map((bank) => [bank, createHash(bank).update(data).digest()]));
    for (const pcr of LOGGED_PCRS) {
      const more = { pcr, type: 0xd, digests, data };
      expect(judged([...events, more], pcrs)).toBeUndefined();
      expect(judged([more, ...events], pcrs)).toBeUndefined();
    }
  });

  it('is refused when two different events of one PCR change places; across PCRs it says the same', () => {
    for (const [first, one] of events.entries()) {
      for (const [distance, two] of events.slice(first + 1, first + 12).entries()) {
        const swapped = events.with(first, two).with(first + 1 + distance, one);
        const state = judged(swapped, pcrs);
        expect(state?.secureBoot ?? truth.secureBoot).toEqual(truth.secureBoot);
        if (
          one.pcr === two.pcr &&
          one.digests.get('sha256')?.equals(two.digests.get('sha256') ?? Buffer.alloc(0)) === false
        ) {
          expect(state).toBeUndefined();
        }
      }
    }
  });

  it('is refused when an event moves to another PCR', () => {
    for (const [place, event] of events.entries()) {
      for (const pcr of LOGGED_PCRS.filter((candidate) => candidate !== event.pcr)) {
        expect(judged(events.with(place, { ...event, pcr }), pcrs)).toBeUndefined();
      }
      expect(judged(events.with(place, { ...event, pcr: 11 }), pcrs)).toBeUndefined();
    }
  });

  it('never says more or less of Secure Boot when an event takes another type', () => {
    const types = [0, 1, 3, 4, 5, 6, 7, 8, 0xd, 0x80000001, 0x80000003, 0x80000007, 0x800000e0, 0xffffffff];
    for (const [place, event] of events.entries()) {
      for (const type of types.filter((candidate) => candidate !== event.type)) {
        const state = judged(events.with(place, { ...event, type }), pcrs);
        if (event.pcr === 7) {
          expect(state?.secureBoot).toBeUndefined();
        } else if (state !== undefined) {
          expect(state.secureBoot).toEqual(truth.secureBoot);
        }
      }
    }
  });

  it('is refused when a digest changes in one bank only', () => {
    for (const [place, event] of events.entries()) {
      for (const bank of banks) {
        const digest = createHash(bank).update('else').digest();
        const digests = new Map([...event.digests, [bank, digest] as const]);
        expect(judged(events.with(place, { ...event, digests }), pcrs)).toBeUndefined();
      }
    }
  });

  it('proves no other state when root extends PCR 7 and presents what it likes', () => {
    const pcr7 = (log: readonly Rewritten[]): readonly Rewritten[] =>
      log.filter(({ pcr, type }) => pcr === 7 && type !== 3);
    for (const other of [on, off]) {
      const added = pcr7(other.log.events);
      const extended = extend(pcrs, 7, added);
      const rest = events.filter(({ pcr }) => pcr !== 7);
      const disguises: readonly ((event: Rewritten) => Rewritten)[] = [
        (event) => event,
        (event) => ({ ...event, type: 3 }),
        (event) => ({ ...event, type: 0xd, data: Buffer.alloc(0) }),
        (event) => ({ ...event, type: 0x80000007 }),
        (event) => ({ ...event, pcr: 11 }),
      ];
      for (const disguise of disguises) {
        const first = pcr7(events).map(disguise);
        for (const presented of [
          [...rest, ...first, ...added],
          [...rest, ...added, ...first],
          [...rest, ...added],
        ]) {
          expect(judged(presented, extended)?.secureBoot).toBeUndefined();
        }
      }
    }
  });
});
