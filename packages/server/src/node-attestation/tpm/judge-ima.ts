/** The files that a machine measured since it booted (PCR 10), against a list of those that may run: one piece of the list after the other. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { IMA_PCR, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import {
  readImaEntries,
  type ImaEntry,
  type MeasuredFile,
} from '@bonafide/shared/tpm/measured-boot/ima-list';
import { checkBootAggregate, ImaWalk } from '@bonafide/shared/tpm/measured-boot/match-ima-list';
import { LARGEST_IMA_LIST_BYTES } from '@bonafide/shared/tpm/proof/tpm-evidence';
import type { VerifiedQuote } from '@bonafide/shared/tpm/proof/verify-quote';
import type { NodeFinding } from '../../store/node-record.js';
import type { DigestList } from './digest-list.js';
import type { TpmTestimony } from './tpm-interview.js';
import type { ImaPosition } from './tpm-record.js';

export interface ImaVerdict {
  readonly findings: readonly NodeFinding[];
  /** Undefined: the list was refused. */
  readonly position: ImaPosition | undefined;
}

const MOST_FINDINGS = 5;
/** Of what is logged and shown of one file. */
const LONGEST_PATH = 512;
/** After so many entries others have their turn: some milliseconds. */
const ENTRIES_A_TURN = 200;

/** Walks along one list as its pieces come, and judges it once it is where a quote says. */
export class ImaExamination {
  readonly #allowed: DigestList;
  readonly #bank: PcrBank;
  readonly #from: ImaPosition | undefined;
  readonly #walk: ImaWalk;
  readonly #strangers: MeasuredFile[] = [];
  #strangerCount = 0;
  #violations = 0;
  #first: ImaEntry | undefined;
  #bytes = 0;

  /** @param from what was judged before in this boot; a list that has changed since has all of it judged again. */
  constructor(allowed: DigestList, bank: PcrBank, from: ImaPosition | undefined) {
    this.#allowed = allowed;
    this.#bank = bank;
    const isKnown = from?.version === allowed.version && from.bank === bank && from.count > 0;
    this.#from = isKnown ? from : undefined;
    this.#walk = new ImaWalk(
      bank,
      this.#from && { count: this.#from.count, aggregate: Buffer.from(this.#from.aggregate, 'hex') },
    );
  }

  /** From which entry the next piece is wanted. */
  get nextEntry(): number {
    return this.#walk.progress.count;
  }

  /** @returns undefined while more of the list is needed. */
  async examine({ quotes, ima }: TpmTestimony): Promise<ImaVerdict | undefined> {
    const quoted = quotes.get(this.#bank)?.values.get(IMA_PCR);
    if (quoted === undefined) return refused(`PCR ${IMA_PCR} of the bank ${this.#bank} was not quoted`);
    if (ima === undefined) return refused('the machine shows no list of measured files');
    if (ima.from !== this.nextEntry) return refused('it is of another place than was asked for');
    this.#bytes += ima.list.length;
    if (this.#bytes > LARGEST_IMA_LIST_BYTES) return refused(`more than ${LARGEST_IMA_LIST_BYTES} bytes`);
    try {
      if (await this.#walkTo(quoted, ima.list)) return this.#judge(quotes);
      return ima.list.length > 0 ? undefined : refused(`it does not lead to PCR ${IMA_PCR} as it was quoted`);
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      return refused(error.message);
    }
  }

  /** What the list grew by after the quote waits for the next one. */
  async #walkTo(quoted: Buffer, list: Buffer): Promise<boolean> {
    if (this.#walk.isAt(quoted)) return true;
    let taken = 0;
    for (const entry of readImaEntries(list)) {
      this.#take(entry);
      if (this.#walk.isAt(quoted)) return true;
      taken += 1;
      if (taken % ENTRIES_A_TURN === 0) await nextTurn();
    }
    return false;
  }

  #take(entry: ImaEntry): void {
    this.#first ??= entry;
    const file = this.#walk.take(entry);
    if (entry.file === undefined) this.#violations += 1;
    if (file === undefined || (file.algorithm === 'sha256' && this.#allowed.digests.has(file.digest))) return;
    this.#strangerCount += 1;
    if (this.#strangers.length < MOST_FINDINGS) this.#strangers.push(file);
  }

  #judge(quotes: ReadonlyMap<PcrBank, VerifiedQuote>): ImaVerdict {
    const { count, aggregate } = this.#walk.progress;
    // A kernel that measures begins with the boot aggregate: without one it measures nothing, whatever it runs.
    if (count === 0) {
      return refused(
        'nothing was measured; the kernel measures what it runs when it has an IMA policy, such as ima_policy=tcb',
      );
    }
    if (this.#from === undefined && this.#first !== undefined) {
      checkBootAggregate(this.#first, new Map([...quotes].map(([bank, { values }]) => [bank, values])));
    }
    const { version } = this.#allowed;
    return {
      findings: this.#findings(),
      position: { version, bank: this.#bank, count, aggregate: aggregate.toString('hex') },
    };
  }

  #findings(): readonly NodeFinding[] {
    const findings: NodeFinding[] = this.#strangers.map(({ path, algorithm, digest }) => ({
      kind: 'ima',
      text: `a file that is not on the allow-list was run: ${JSON.stringify(path.slice(0, LONGEST_PATH))}`,
      after: `${algorithm}:${digest}`,
    }));
    const more = this.#strangerCount - this.#strangers.length;
    if (more > 0) {
      findings.push({ kind: 'ima', text: `${more} more files that are not on the allow-list were run` });
    }
    if (this.#violations > 0) {
      findings.push({ kind: 'ima', text: `${this.#violations} files changed while they were measured` });
    }
    return findings;
  }
}

export function refused(problem: string): ImaVerdict {
  const text = `the list of measured files is refused: ${problem}`;
  return { findings: [{ kind: 'ima', text }], position: undefined };
}
