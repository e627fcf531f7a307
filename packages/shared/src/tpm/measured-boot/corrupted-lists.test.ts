import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hasReason } from '../../errors/bonafide-error.js';
import { matchImaList, recordedBoot, writeEventLog } from './boot-log/boot-log-fixtures.js';
import { firstDifference, summarizeEventLog } from './compare-event-logs.js';
import { describeEvent } from './describe-event.js';
import { MAXIMUM_EVENTS, parseEventLog, replayEventLog, type EventLog } from './event-log.js';
import { parseImaList } from './ima-list.js';
import { checkBootAggregate } from './match-ima-list.js';
import { judgeSecureBoot } from './secure-boot.js';

const CORRUPTIONS = 20_000;
const TIME_LIMIT_MS = 300_000;

/** The same numbers on every run, so that a failure can be looked at. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A byte, a length, a cut, a hole or a repeated part: what transport, firmware and attackers do. */
function corrupt(bytes: Buffer, below: (limit: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  const at = below(copy.length);
  const end = Math.min(copy.length, at + 1 + below(64));
  switch (below(6)) {
    case 0:
      copy[at] = below(256);
      return copy;
    case 1:
      copy[at] = (copy[at] ?? 0) ^ (1 << below(8));
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(end)]);
    case 4:
      return Buffer.concat([copy.subarray(0, end), copy.subarray(at)]);
    default:
      copy.writeUInt32LE(
        [0, 1, 0x7fffffff, 0xffffffff, 0x80000000][below(5)] ?? 0,
        Math.min(at, copy.length - 4),
      );
      return copy;
  }
}

/** Each kind of event once a PCR, and all of PCR 7, whose form is judged: hashing the rest over and over shows nothing new. */
function shortened({ events }: EventLog): Buffer {
  const bank = 'sha256';
  const kept = new Map(
    events.map((event) => [event.pcr === 7 ? event.index : `${event.pcr} ${event.type}`, event]),
  );
  return writeEventLog({
    banks: [bank],
    events: [...kept.values()].map((event) => {
      const digest = event.digests.get(bank) ?? Buffer.alloc(0);
      return { ...event, digests: new Map([[bank, digest]]) };
    }),
  });
}

/** @returns whether it was refused; anything but a refusal of ours fails the test. */
function isRefused(use: () => void): boolean {
  try {
    use();
    return false;
  } catch (error) {
    if (hasReason(error, 'invalid_argument')) {
      return true;
    }
    throw error;
  }
}

describe(`${CORRUPTIONS} corruptions`, () => {
  it(
    'of boot logs are read or refused, and nothing else happens',
    () => {
      const below = numbers(1);
      const described = new Set<string>();
      const logs = [shortened(recordedBoot('sb-off').log), recordedBoot('sb-on').raw];
      let refused = 0;
      let unprintable = 0;
      const read = (raw: Buffer): void => {
        const log = parseEventLog(raw);
        for (const event of log.events) {
          const said = `${event.type} ${event.data.toString('latin1')}`;
          if (described.has(said)) continue;
          described.add(said);
          if (!/^[\x20-\x7e]{1,160}$/u.test(describeEvent(event))) unprintable += 1;
        }
        for (const bank of log.banks) {
          replayEventLog(log, bank);
          judgeSecureBoot(log, bank);
        }
      };
      for (const genuine of logs) read(genuine);
      for (let count = 0; count < CORRUPTIONS; count++) {
        const raw = corrupt(logs[count % 8 === 0 ? 1 : 0] ?? Buffer.alloc(0), below);
        const isOne = isRefused(() => {
          read(raw);
        });
        if (isOne) refused += 1;
      }
      expect(unprintable).toBe(0);
      expect(refused).toBeGreaterThan(CORRUPTIONS / 4);
      expect(refused).toBeLessThan(CORRUPTIONS);
    },
    TIME_LIMIT_MS,
  );

  it(
    'of IMA lists are read or refused, and nothing else happens',
    () => {
      const below = numbers(2);
      const { imaList, quoted } = recordedBoot('sb-on');
      const pcr10 = quoted.get(10) ?? Buffer.alloc(32);
      let refused = 0;
      let matched = 0;
      for (let count = 0; count < CORRUPTIONS; count++) {
        const raw = corrupt(imaList, below);
        const wasRefused = isRefused(() => {
          const entries = parseImaList(raw);
          const { files } = matchImaList(entries, { bank: 'sha256', quoted: pcr10 });
          const [first] = entries;
          if (first !== undefined) {
            checkBootAggregate(first, new Map([['sha256', quoted]]));
          }
          expect(files.length).toBeGreaterThan(0);
          matched++;
        });
        refused += wasRefused ? 1 : 0;
      }
      expect(refused + matched).toBe(CORRUPTIONS);
      expect(refused).toBeGreaterThan(CORRUPTIONS / 2);
    },
    TIME_LIMIT_MS,
  );
});

describe('the largest lists that are read', () => {
  /** As many events as a log may have, of PCR 7 where they cost most, each with some data. */
  function largestLog(): Buffer {
    const data = Buffer.alloc(4);
    const digests = new Map([['sha256', createHash('sha256').update(data).digest()]] as const);
    const event = { pcr: 7, type: 0x80000001, digests, data };
    return writeEventLog({
      banks: ['sha256'],
      events: Array.from({ length: MAXIMUM_EVENTS - 1 }, () => event),
    });
  }

  it(
    'are judged within seconds',
    () => {
      const started = performance.now();
      const log = parseEventLog(largestLog());
      replayEventLog(log, 'sha256');
      const summary = summarizeEventLog(log, 'sha256');
      expect(isRefused(() => judgeSecureBoot(log, 'sha256'))).toBe(true);
      expect(firstDifference(summary, log, 7)).toBeUndefined();
      expect(performance.now() - started).toBeLessThan(60_000);
    },
    TIME_LIMIT_MS,
  );
});
