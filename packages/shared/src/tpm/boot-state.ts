/** What a boot log proves together with quoted PCRs, for a server's policy. */
import { BonafideError, hasReason } from '../errors/bonafide-error.js';
import { PCR_BANKS, type PcrBank } from './algorithm.js';
import { summarizeEventLog, type BootLogSummary } from './compare-event-logs.js';
import { parseEventLog, replayEventLog, type EventLog } from './event-log.js';
import { judgeSecureBoot, type SecureBootState } from './secure-boot.js';

/** Firmware, boot loader and kernel; 14 is shim's. The others are extended after the log was closed. */
export const LOGGED_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];
const SECURE_BOOT_PCR = 7;

export type QuotedPcrs = ReadonlyMap<PcrBank, ReadonlyMap<number, Buffer>>;

export interface BootState {
  /** False when the node presented no log: its PCRs are quoted, but nothing tells what led to them. */
  readonly hasLog: boolean;
  /** Undefined when nothing proves it, on or off; `secureBootProblem` says why. */
  readonly secureBoot: SecureBootState | undefined;
  readonly secureBootProblem: string | undefined;
  /** To compare a later boot with; in the strongest quoted bank. Undefined without a log. */
  readonly summary: BootLogSummary | undefined;
}

/**
 * @param log as the node presented it; undefined and empty mean that there is none
 * @param quoted the values of PCRs that a verified quote covers; the log is replayed in every bank of them
 * @throws BonafideError invalid_argument when the log is malformed; permission_denied when it does not lead to the quoted
 *   PCRs
 */
export function judgeBoot({
  log: raw,
  quoted,
}: {
  readonly log: Buffer | undefined;
  readonly quoted: QuotedPcrs;
}): BootState {
  if (raw === undefined || raw.length === 0) {
    return {
      hasLog: false,
      secureBoot: undefined,
      secureBootProblem: 'there is no boot log',
      summary: undefined,
    };
  }
  const log = parseEventLog(raw);
  for (const [bank, values] of quoted) {
    expectReplay(log, bank, values);
  }
  const strongest = PCR_BANKS.findLast((bank) => quoted.has(bank));
  return {
    hasLog: true,
    ...judgeSecureBootIfQuoted(log, quoted),
    summary: strongest === undefined ? undefined : summarizeEventLog(log, strongest),
  };
}

/** A PCR that the log does not mention must be as it was at reset: what is missing from a log could be hidden by it. */
function expectReplay(log: EventLog, bank: PcrBank, quoted: ReadonlyMap<number, Buffer>): void {
  const replayed = replayEventLog(log, bank);
  for (const pcr of LOGGED_PCRS) {
    const value = quoted.get(pcr);
    if (value !== undefined && !value.equals(replayed.get(pcr) ?? Buffer.alloc(value.length))) {
      throw new BonafideError(
        'permission_denied',
        `the boot log does not lead to the quoted PCR ${pcr} of the ${bank} bank`,
      );
    }
  }
}

/** Never by SHA-1, for which other data with the same digest can be made. */
function judgeSecureBootIfQuoted(
  log: EventLog,
  quoted: QuotedPcrs,
): Pick<BootState, 'secureBoot' | 'secureBootProblem'> {
  const bank = PCR_BANKS.findLast(
    (name) => name !== 'sha1' && quoted.get(name)?.has(SECURE_BOOT_PCR) === true,
  );
  if (bank === undefined) {
    return { secureBoot: undefined, secureBootProblem: 'PCR 7 was not quoted in a bank better than SHA-1' };
  }
  try {
    return { secureBoot: judgeSecureBoot(log, bank), secureBootProblem: undefined };
  } catch (error) {
    if (hasReason(error, 'invalid_argument')) {
      return { secureBoot: undefined, secureBootProblem: error.message };
    }
    throw error;
  }
}
