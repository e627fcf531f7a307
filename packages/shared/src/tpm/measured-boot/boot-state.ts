/** What a boot log proves together with quoted PCRs, for a server's policy and for whoever looks at one machine. */
import { isDeepStrictEqual } from 'node:util';
import { BonafideError, hasReason } from '../../errors/bonafide-error.js';
import { PCR_BANKS, SECURE_BOOT_PCR, type PcrBank } from '../algorithm.js';
import { summarizeEventLog, type BootLogSummary } from './compare-event-logs.js';
import { parseEventLog, replayEventLog, type EventLog } from './event-log.js';
import { judgeSecureBoot, type SecureBootState } from './secure-boot.js';

/** What ends up in these goes through the firmware's log: firmware, boot loader, kernel, and shim (14). */
export const LOGGED_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];

export type QuotedPcrs = ReadonlyMap<PcrBank, ReadonlyMap<number, Buffer>>;

export interface BootState {
  /** False when the node presented no log: its PCRs are quoted, but nothing tells what led to them. */
  readonly hasLog: boolean;
  /** Undefined when nothing proves it, on or off; `secureBootProblem` says why. */
  readonly secureBoot: SecureBootState | undefined;
  readonly secureBootProblem: string | undefined;
  /** To compare a later boot with, in the strongest quoted bank. Undefined without a log. */
  readonly summary: BootLogSummary | undefined;
}

export interface PresentedBoot {
  /** As the node presented it; undefined and empty mean that there is none. */
  readonly log: Buffer | undefined;
  /** The values that a verified quote covers; the log is replayed in every bank of them. */
  readonly quoted: QuotedPcrs;
}

export interface UnexplainedPcr {
  readonly bank: PcrBank;
  readonly pcr: number;
  /** Lower-case hex. */
  readonly replayed: string;
  readonly quoted: string;
}

/**
 * @throws BonafideError invalid_argument when the log is malformed or lacks a quoted bank; permission_denied when it does
 *   not lead to the quoted PCRs
 */
export function judgeBoot({ log: raw, quoted }: PresentedBoot): BootState {
  if (raw === undefined || raw.length === 0) {
    const secureBootProblem = 'there is no boot log';
    return { hasLog: false, secureBoot: undefined, secureBootProblem, summary: undefined };
  }
  const log = parseEventLog(raw);
  const [unexplained] = unexplainedPcrs(log, quoted);
  if (unexplained !== undefined) {
    const { bank, pcr } = unexplained;
    throw new BonafideError(
      'permission_denied',
      `the boot log does not lead to the quoted PCR ${pcr} of the ${bank} bank`,
    );
  }
  const strongest = PCR_BANKS.findLast((bank) => quoted.has(bank));
  const summary = strongest === undefined ? undefined : summarizeEventLog(log, strongest);
  return { hasLog: true, ...provenSecureBoot(log, quoted), summary };
}

/**
 * Those that the log does not lead to, in every quoted bank. A PCR that the log does not mention must be as it was at reset, or leaving
 * events out would hide them.
 * @throws BonafideError invalid_argument when the log lacks a quoted bank
 */
export function unexplainedPcrs(log: EventLog, quoted: QuotedPcrs): readonly UnexplainedPcr[] {
  return [...quoted].flatMap(([bank, values]) => {
    const replayed = replayEventLog(log, bank);
    return LOGGED_PCRS.flatMap((pcr) => {
      const value = values.get(pcr);
      if (value === undefined) return [];
      const led = replayed.get(pcr) ?? Buffer.alloc(value.length);
      return led.equals(value)
        ? []
        : [{ bank, pcr, replayed: led.toString('hex'), quoted: value.toString('hex') }];
    });
  });
}

/**
 * All banks must say the same: firmware that leaves a bank alone leaves it to whoever comes later. SHA-1 is not enough by
 * itself, because two different data with one digest can be made.
 *
 * @param log leads to PCR 7 as it was quoted
 */
export function provenSecureBoot(
  log: EventLog,
  quoted: QuotedPcrs,
): Pick<BootState, 'secureBoot' | 'secureBootProblem'> {
  const banks = PCR_BANKS.filter((bank) => quoted.get(bank)?.has(SECURE_BOOT_PCR) === true);
  if (!banks.some((bank) => bank !== 'sha1')) {
    return unproven('PCR 7 was not quoted in a bank better than SHA-1');
  }
  try {
    const [state, ...others] = banks.map((bank) => judgeSecureBoot(log, bank));
    return others.every((other) => isDeepStrictEqual(other, state))
      ? { secureBoot: state, secureBootProblem: undefined }
      : unproven('the PCR banks do not agree on Secure Boot');
  } catch (error) {
    if (hasReason(error, 'invalid_argument')) {
      return unproven(error.message);
    }
    throw error;
  }
}

function unproven(secureBootProblem: string): Pick<BootState, 'secureBoot' | 'secureBootProblem'> {
  return { secureBoot: undefined, secureBootProblem };
}
