/** What a boot log is worth: whether its replay leads to the quoted PCRs in every bank, and what it then says of Secure Boot. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { PcrBank } from '@bonafide/shared/tpm/algorithm';
import { LOGGED_PCRS } from '@bonafide/shared/tpm/boot-state';
import { summarizeEventLog } from '@bonafide/shared/tpm/compare-event-logs';
import { parseEventLog, replayEventLog, type EventLog } from '@bonafide/shared/tpm/event-log';
import { judgeSecureBoot } from '@bonafide/shared/tpm/secure-boot';
import type { VerifiedQuote } from '@bonafide/shared/tpm/verify-quote';
import type { BootLogVerdict } from './tpm-record.js';

export interface JudgedBootLog {
  readonly verdict: BootLogVerdict;
  /** Undefined: there is none that can be read. */
  readonly log: EventLog | undefined;
  /** PCRs that the log does not lead to. */
  readonly unexplained: readonly UnexplainedPcr[];
}

export interface UnexplainedPcr {
  readonly bank: PcrBank;
  readonly pcr: number;
  /** Lower-case hex. */
  readonly replayed: string;
  readonly quoted: string;
}

const SECURE_BOOT_PCR = 7;

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
    const unexplained = [...quotes.values()].flatMap((quote) => unexplainedIn(log, quote));
    const secureBoot = judgeIn(log, quotes, unexplained);
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

function unexplainedIn(log: EventLog, { bank, values }: VerifiedQuote): readonly UnexplainedPcr[] {
  const replayed = replayEventLog(log, bank);
  return [...values].flatMap(([pcr, value]) => {
    if (!LOGGED_PCRS.includes(pcr)) return [];
    const led = replayed.get(pcr) ?? Buffer.alloc(value.length);
    if (led.equals(value)) return [];
    return [{ bank, pcr, replayed: led.toString('hex'), quoted: value.toString('hex') }];
  });
}

type SecureBootVerdict = Pick<
  Extract<BootLogVerdict, { kind: 'replayed' }>,
  'secureBoot' | 'secureBootProblem'
>;

/** In every bank, and all must say the same: firmware that leaves a bank alone leaves it to whoever comes later. */
function judgeIn(
  log: EventLog,
  quotes: ReadonlyMap<PcrBank, VerifiedQuote>,
  unexplained: readonly UnexplainedPcr[],
): SecureBootVerdict {
  const isProven = [...quotes.values()].every(({ values }) => values.has(SECURE_BOOT_PCR));
  if (!isProven || unexplained.some(({ pcr }) => pcr === SECURE_BOOT_PCR)) {
    return { secureBootProblem: 'the boot log does not lead to PCR 7 as it was quoted' };
  }
  try {
    const states = [...quotes.keys()].map((bank) => {
      const { isEnabled, isDebug, dbAuthorities } = judgeSecureBoot(log, bank);
      return { isEnabled, isDebug, dbAuthorities: [...dbAuthorities].sort() };
    });
    const [state] = states;
    if (state === undefined || states.some((other) => JSON.stringify(other) !== JSON.stringify(state))) {
      return { secureBootProblem: 'the banks of PCRs do not agree on Secure Boot' };
    }
    return { secureBoot: state };
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    return { secureBootProblem: error.message };
  }
}
