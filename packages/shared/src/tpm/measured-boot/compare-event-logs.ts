/** Which event of a PCR differs between a boot that is remembered and a new one, for people who ask what changed. */
import { z } from 'zod';
import { PCR_BANKS, PCR_COUNT, type PcrBank } from '../algorithm.js';
import { printable } from './boot-log/printable-text.js';
import { describeEvent, LONGEST_EVENT_LINE } from './describe-event.js';
import { digestOf, measurementsOf, type EventLog, type LogEvent } from './event-log.js';

/** Of a summary as JSON. */
export const MAXIMUM_SUMMARY_BYTES = 64 * 1024;
/** Enough to tell events apart; what is proven is proven by whole digests elsewhere. */
const DIGEST_CHARACTERS = 16;
const MAXIMUM_REMEMBERED = 1200;
const SHORT_LINE = 40;

const rememberedEventSchema = z.tuple([
  z.string().regex(/^[0-9a-f]{16}$/u),
  z.string().max(LONGEST_EVENT_LINE),
]);

/** What a server keeps of a boot log: per PCR the start of each event's digest, and the event in words. */
export const bootLogSummarySchema = z.strictObject({
  version: z.literal(1),
  bank: z.enum(PCR_BANKS),
  pcrs: z
    .array(
      z.strictObject({
        pcr: z
          .int()
          .min(0)
          .max(PCR_COUNT - 1),
        events: z.array(rememberedEventSchema).max(MAXIMUM_REMEMBERED),
        /** How many there were, if the rest is not remembered. */
        count: z.int().min(1),
      }),
    )
    .max(PCR_COUNT),
});
export type BootLogSummary = z.infer<typeof bootLogSummarySchema>;
type RememberedEvent = z.infer<typeof rememberedEventSchema>;

export interface EventDifference {
  readonly pcr: number;
  /** Among the events of this PCR, from 0 on. */
  readonly position: number;
  readonly kind: 'changed' | 'inserted' | 'dropped' | 'moved';
  /** The event of the remembered boot, unless one was inserted. */
  readonly before: EventAtDifference | undefined;
  /** The event of the new boot, unless one was dropped. */
  readonly after: EventAtDifference | undefined;
}

export interface EventAtDifference {
  /** What it says of itself; the same before and after when only the thing behind a name changed. */
  readonly description: string;
  /** The first eight bytes of its digest in the bank of the summary, lower case hex. */
  readonly digestStart: string;
}

/**
 * The summary of a log that was proven, at most MAXIMUM_SUMMARY_BYTES as JSON: first the words of the events grow short,
 * then the last events of each PCR are only counted.
 *
 * @throws BonafideError invalid_argument when the log has no digests of this bank
 */
export function summarizeEventLog(log: EventLog, bank: PcrBank): BootLogSummary {
  for (const longestLine of [LONGEST_EVENT_LINE, SHORT_LINE]) {
    const summary = summarize(log, bank, { longestLine, mostEvents: MAXIMUM_REMEMBERED });
    if (JSON.stringify(summary).length <= MAXIMUM_SUMMARY_BYTES) {
      return summary;
    }
  }
  return summarize(log, bank, { longestLine: 0, mostEvents: Math.floor(MAXIMUM_REMEMBERED / PCR_COUNT) });
}

interface SummaryLimits {
  readonly longestLine: number;
  /** Of one PCR. */
  readonly mostEvents: number;
}

function summarize(log: EventLog, bank: PcrBank, { longestLine, mostEvents }: SummaryLimits): BootLogSummary {
  const pcrs = new Map<number, { pcr: number; events: RememberedEvent[]; count: number }>();
  for (const event of measurementsOf(log)) {
    const remembered = pcrs.get(event.pcr) ?? { pcr: event.pcr, events: [], count: 0 };
    pcrs.set(event.pcr, remembered);
    remembered.count++;
    if (remembered.events.length < mostEvents) {
      remembered.events.push(remember(event, bank, longestLine));
    }
  }
  return { version: 1, bank, pcrs: [...pcrs.values()].sort((a, b) => a.pcr - b.pcr) };
}

/**
 * The first event of a PCR that differs, by digests in the bank of the summary.
 *
 * @returns undefined when no remembered event differs
 * @throws BonafideError invalid_argument when the log has no digests of that bank
 */
export function firstDifference(
  before: BootLogSummary,
  after: EventLog,
  pcr: number,
): EventDifference | undefined {
  const old = before.pcrs.find((candidate) => candidate.pcr === pcr) ?? { events: [], count: 0 };
  const events = measurementsOf(after, pcr);
  const oldDigests = old.events.map(([digest]) => digest);
  const newDigests = events.map((event) => shortDigest(digestOf(event, before.bank)));
  const compared = old.count > old.events.length ? newDigests.slice(0, old.events.length) : newDigests;
  const position = firstPlace(oldDigests, compared);
  if (position === undefined) {
    return undefined;
  }
  const kind = kindOfDifference(oldDigests.slice(position), compared.slice(position));
  const event = events[position];
  return {
    pcr,
    position,
    kind,
    before: kind === 'inserted' ? undefined : eventAt(old.events[position]),
    after:
      kind === 'dropped' || event === undefined
        ? undefined
        : eventAt(remember(event, before.bank, LONGEST_EVENT_LINE)),
  };
}

function remember(event: LogEvent, bank: PcrBank, longestLine: number): RememberedEvent {
  const line = longestLine === 0 ? '' : printable(describeEvent(event), longestLine);
  return [shortDigest(digestOf(event, bank)), line];
}

function eventAt(event: RememberedEvent | undefined): EventAtDifference | undefined {
  return event === undefined ? undefined : { digestStart: event[0], description: event[1] };
}

function firstPlace(before: readonly string[], after: readonly string[]): number | undefined {
  const length = Math.max(before.length, after.length);
  for (let place = 0; place < length; place++) {
    if (before[place] !== after[place]) {
      return place;
    }
  }
  return undefined;
}

/** Both lists begin where they differ. */
function kindOfDifference(before: readonly string[], after: readonly string[]): EventDifference['kind'] {
  const more = after.length - before.length;
  if (more > 0 && areEqual(before, after.slice(more))) {
    return 'inserted';
  }
  if (more < 0 && areEqual(before.slice(-more), after)) {
    return 'dropped';
  }
  if (areEqual(before.slice(1), after.slice(1))) {
    return 'changed';
  }
  const comesLater = after.includes(before[0] ?? '');
  const cameLater = before.includes(after[0] ?? '');
  if (comesLater && cameLater) {
    return 'moved';
  }
  return comesLater ? 'inserted' : cameLater ? 'dropped' : 'changed';
}

function areEqual(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && firstPlace(left, right) === undefined;
}

function shortDigest(digest: Buffer): string {
  return digest.toString('hex').slice(0, DIGEST_CHARACTERS);
}
