/** What a boot log is worth: whether its replay leads to the quoted PCRs in every bank, and what it then says of Secure Boot. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { SECURE_BOOT_PCR, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import {
  provenSecureBoot,
  unexplainedPcrs,
  type QuotedPcrs,
  type UnexplainedPcr,
} from '@bonafide/shared/tpm/measured-boot/boot-state';
import { summarizeEventLog } from '@bonafide/shared/tpm/measured-boot/compare-event-logs';
import { parseEventLog, type EventLog } from '@bonafide/shared/tpm/measured-boot/event-log';
import type { VerifiedQuote } from '@bonafide/shared/tpm/proof/verify-quote';
import type { BootLogVerdict } from './tpm-record.js';

export interface JudgedBootLog {
  readonly verdict: BootLogVerdict;
  /** Undefined: there is none that can be read. */
  readonly log: EventLog | undefined;
  /** PCRs that the log does not lead to. */
  readonly unexplained: readonly UnexplainedPcr[];
}

export function judgeBootLog(
  raw: Buffer | undefined,
  quotes: ReadonlyMap<PcrBank, VerifiedQuote>,
  /** Of which bank the events are remembered; `changeable` PCRs need no explanation. */
  { bank, changeable }: { readonly bank: PcrBank; readonly changeable: ReadonlySet<number> },
): JudgedBootLog {
  if (raw === undefined || raw.length === 0) {
    return { verdict: { kind: 'none' }, log: undefined, unexplained: [] };
  }
  try {
    const log = parseEventLog(raw);
    const quoted = new Map([...quotes].map(([name, { values }]) => [name, values]));
    const unexplained = unexplainedPcrs(log, quoted);
    const secureBoot = secureBootIn(log, quoted, unexplained);
    return {
      verdict: { kind: 'replayed', ...secureBoot, summary: summarizeEventLog(log, bank) },
      log,
      unexplained: unexplained.filter(({ pcr }) => !changeable.has(pcr)),
    };
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    return { verdict: { kind: 'refused', problem: error.message }, log: undefined, unexplained: [] };
  }
}

type SecureBootVerdict = Pick<
  Extract<BootLogVerdict, { kind: 'replayed' }>,
  'secureBoot' | 'secureBootProblem'
>;

/** A bank in which PCR 7 is not what the log says, or not known, may be one that the firmware left to whoever came later. */
function secureBootIn(
  log: EventLog,
  quoted: QuotedPcrs,
  unexplained: readonly UnexplainedPcr[],
): SecureBootVerdict {
  const isQuoted = [...quoted.values()].every((values) => values.has(SECURE_BOOT_PCR));
  if (!isQuoted || unexplained.some(({ pcr }) => pcr === SECURE_BOOT_PCR)) {
    return { secureBootProblem: 'the boot log does not lead to PCR 7 as it was quoted' };
  }
  const { secureBoot, secureBootProblem } = provenSecureBoot(log, quoted);
  if (secureBoot === undefined) return { secureBootProblem };
  const { isEnabled, isDebug, dbAuthorities } = secureBoot;
  return { secureBoot: { isEnabled, isDebug, dbAuthorities: [...dbAuthorities].sort() } };
}
