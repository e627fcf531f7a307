/** The files that a machine measured since it booted (PCR 10), against a list of those that may run: one piece of the list after the other. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { PcrBank } from '@bonafide/shared/tpm/algorithm';
import { parseImaList, type ImaEntry } from '@bonafide/shared/tpm/ima-list';
import { checkBootAggregate, matchImaList, type ImaMatch } from '@bonafide/shared/tpm/match-ima-list';
import { LARGEST_IMA_LIST_BYTES } from '@bonafide/shared/tpm/tpm-evidence';
import type { VerifiedQuote } from '@bonafide/shared/tpm/verify-quote';
import type { NodeFinding } from '../../store/node-record.js';
import type { DigestList } from './digest-list.js';
import { IMA_PCR } from './tpm-config.js';
import type { TpmTestimony } from './tpm-interview.js';
import type { ImaPosition } from './tpm-record.js';

export interface ImaVerdict {
  readonly findings: readonly NodeFinding[];
  /** Undefined: the list was refused. */
  readonly position: ImaPosition | undefined;
}

const MOST_FINDINGS = 5;

/** Collects the pieces of one list, and judges it once it leads to a quote. */
export class ImaExamination {
  readonly #allowed: DigestList;
  readonly #bank: PcrBank;
  readonly #from: ImaPosition | undefined;
  readonly #entries: ImaEntry[] = [];
  #bytes = 0;

  /** @param from what was judged before in this boot; a list that has changed since has all of it judged again. */
  constructor(allowed: DigestList, bank: PcrBank, from: ImaPosition | undefined) {
    this.#allowed = allowed;
    this.#bank = bank;
    const isKnown = from?.version === allowed.version && from.bank === bank && from.count > 0;
    this.#from = isKnown ? from : undefined;
  }

  /** From which entry the next piece is wanted. */
  get nextEntry(): number {
    return (this.#from?.count ?? 0) + this.#entries.length;
  }

  /** @returns undefined while more of the list is needed. */
  examine({ quotes, ima }: TpmTestimony): ImaVerdict | undefined {
    const quoted = quotes.get(this.#bank)?.values.get(IMA_PCR);
    if (quoted === undefined) return refused(`PCR ${IMA_PCR} was not quoted`);
    if (ima === undefined) return refused('the machine shows no list of measured files');
    if (ima.from !== this.nextEntry) return refused('it is of another place than was asked for');
    this.#bytes += ima.list.length;
    if (this.#bytes > LARGEST_IMA_LIST_BYTES) return refused(`more than ${LARGEST_IMA_LIST_BYTES} bytes`);
    try {
      const piece = parseImaList(ima.list);
      for (const entry of piece) this.#entries.push(entry);
      const match = this.#match(quoted);
      if (match !== undefined) return this.#judge(match, quotes);
      return piece.length > 0 ? undefined : refused(`it does not lead to PCR ${IMA_PCR} as it was quoted`);
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      return refused(error.message);
    }
  }

  #match(quoted: Buffer): ImaMatch | undefined {
    const from = this.#from && {
      count: this.#from.count,
      aggregate: Buffer.from(this.#from.aggregate, 'hex'),
    };
    try {
      const position = from === undefined ? {} : { from };
      return matchImaList(this.#entries, { bank: this.#bank, quoted, ...position });
    } catch (error) {
      if (error instanceof BonafideError) return undefined; // more of it may lead there
      throw error;
    }
  }

  #judge(
    { progress, entries, files, violations }: ImaMatch,
    quotes: ReadonlyMap<PcrBank, VerifiedQuote>,
  ): ImaVerdict {
    if (this.#from === undefined) {
      const [first] = entries;
      // A kernel that measures begins with the boot before it; without that, an empty list would vouch for anything.
      if (first === undefined) return refused('nothing was measured; boot with an IMA policy');
      checkBootAggregate(first, new Map([...quotes].map(([bank, { values }]) => [bank, values])));
    }
    const strangers = files.filter(
      ({ algorithm, digest }) => algorithm !== 'sha256' || !this.#allowed.digests.has(digest),
    );
    const findings: NodeFinding[] = strangers.slice(0, MOST_FINDINGS).map(({ path, algorithm, digest }) => ({
      kind: 'ima',
      text: `a file that is not on the allow-list was run: ${JSON.stringify(path)}`,
      after: `${algorithm}:${digest}`,
    }));
    if (strangers.length > MOST_FINDINGS) {
      findings.push({
        kind: 'ima',
        text: `${strangers.length - MOST_FINDINGS} more files that are not on the allow-list were run`,
      });
    }
    if (violations > 0) {
      findings.push({ kind: 'ima', text: `${violations} files changed while they were measured` });
    }
    const { version } = this.#allowed;
    const position = {
      version,
      bank: this.#bank,
      count: progress.count,
      aggregate: progress.aggregate.toString('hex'),
    };
    return { findings, position };
  }
}

export function refused(problem: string): ImaVerdict {
  const text = `the list of measured files is refused: ${problem}`;
  return { findings: [{ kind: 'ima', text }], position: undefined };
}
