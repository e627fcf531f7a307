/**
 * What of an IMA list a quoted PCR 10 proves. The list grows between the quote and its reading, so the beginning that
 * leads to the quoted value counts and the rest waits for the next quote (kernels from 5.8 on, which extend each bank
 * with the hash of the template data in that bank's algorithm).
 */
import { createHash } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { digestBytes, isPcrBank, type PcrBank } from '../algorithm.js';
import type { ImaEntry, MeasuredFile } from './ima-list.js';

const BOOT_AGGREGATE = 'boot_aggregate';

/** How far a list was proven: as many entries, which led to this value of PCR 10. */
export interface ImaProgress {
  readonly count: number;
  readonly aggregate: Buffer;
}

/** Walks along a list, from its beginning or from where a quote led before, until it is where a quote says. */
export class ImaWalk {
  readonly #bank: PcrBank;
  #count: number;
  #aggregate: Buffer;

  /** @param from where an earlier quote of this bank led, for as long as the node was not restarted */
  constructor(bank: PcrBank, from?: ImaProgress) {
    this.#bank = bank;
    this.#count = from?.count ?? 0;
    this.#aggregate = from?.aggregate ?? Buffer.alloc(digestBytes(bank));
  }

  get progress(): ImaProgress {
    return { count: this.#count, aggregate: this.#aggregate };
  }

  /** Whether the entries so far are what this value of PCR 10 proves. */
  isAt(quoted: Buffer): boolean {
    return this.#aggregate.equals(quoted);
  }

  /**
   * @returns the entry's file, for an allow list; undefined for the boot aggregate and for a violation
   * @throws BonafideError invalid_argument when the entry's own digest does not fit its data
   */
  take(entry: ImaEntry): MeasuredFile | undefined {
    const extended = templateHash(entry, this.#bank);
    this.#aggregate = createHash(this.#bank).update(this.#aggregate).update(extended).digest();
    this.#count++;
    const isBootAggregate = this.#count === 1 && entry.file?.path === BOOT_AGGREGATE;
    return isBootAggregate ? undefined : entry.file;
  }
}

/**
 * What the kernel extends for an entry.
 *
 * @throws BonafideError invalid_argument when the entry's own digest does not fit its data
 */
export function templateHash(entry: ImaEntry, bank: PcrBank): Buffer {
  if (entry.file === undefined) {
    return Buffer.alloc(digestBytes(bank), 0xff);
  }
  const sha1 = createHash('sha1').update(entry.templateData).digest();
  if (!sha1.equals(entry.templateDigest)) {
    throw invalidArgument('the IMA list has an entry whose digest does not fit its data');
  }
  return bank === 'sha1' ? sha1 : createHash(bank).update(entry.templateData).digest();
}

/**
 * The first entry of a list ties it to the boot before it: a hash over the PCRs of that boot.
 *
 * @param first the first entry of the whole list, proven by a quote
 * @throws BonafideError invalid_argument when it is not the boot aggregate of the quoted PCRs, or they were not quoted
 */
export function checkBootAggregate(
  first: ImaEntry,
  quoted: ReadonlyMap<PcrBank, ReadonlyMap<number, Buffer>>,
): void {
  const file = first.file;
  if (file?.path !== BOOT_AGGREGATE || !isPcrBank(file.algorithm)) {
    throw invalidArgument('the IMA list does not begin with a boot aggregate of a known algorithm');
  }
  const expected = bootAggregate(file.algorithm, quoted.get(file.algorithm) ?? new Map<number, Buffer>());
  if (expected.toString('hex') !== file.digest) {
    throw invalidArgument("the IMA list's boot aggregate is not that of the quoted PCRs");
  }
}

/**
 * PCRs 0 to 9 hashed in order, in the SHA-1 bank 0 to 7.
 *
 * @throws BonafideError invalid_argument when one of them is missing
 */
export function bootAggregate(bank: PcrBank, pcrs: ReadonlyMap<number, Buffer>): Buffer {
  const last = bank === 'sha1' ? 7 : 9;
  const sum = createHash(bank);
  for (let pcr = 0; pcr <= last; pcr++) {
    const value = pcrs.get(pcr);
    if (value === undefined) {
      throw invalidArgument(
        `the IMA boot aggregate needs PCRs 0 to ${last} of the ${bank} bank: ${pcr} was not quoted`,
      );
    }
    sum.update(value);
  }
  return sum.digest();
}
