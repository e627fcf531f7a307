/**
 * What of an IMA list a quoted PCR 10 proves. The list grows between the quote and its reading, so the beginning that
 * leads to the quoted value counts and the rest waits for the next quote (kernels from 5.8 on, which extend each bank
 * with the hash of the template data in that bank's algorithm).
 */
import { createHash } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { digestBytes, isPcrBank, type PcrBank } from './algorithm.js';
import type { ImaEntry, MeasuredFile } from './ima-list.js';

const BOOT_AGGREGATE = 'boot_aggregate';

/** How far a list was proven: as many entries, which led to this value of PCR 10. */
export interface ImaProgress {
  readonly count: number;
  readonly aggregate: Buffer;
}

export interface ImaMatch {
  /** Hand it back with the next quote of this bank, for as long as the node was not restarted. */
  readonly progress: ImaProgress;
  /** The entries that the quote proves and `from` did not cover yet, in order; none when nothing was measured since. */
  readonly entries: readonly ImaEntry[];
  /** Their files, for an allow list; the boot aggregate is not among them. */
  readonly files: readonly MeasuredFile[];
  /** How many of the entries are violations: files that changed while they were measured. */
  readonly violations: number;
}

/**
 * @param entries what follows the entries that `from` counts; the whole list without `from`
 * @param quoted PCR 10 as quoted in this bank
 * @throws BonafideError invalid_argument when no beginning of the list leads to the quoted value
 */
export function matchImaList(
  entries: readonly ImaEntry[],
  { bank, quoted, from }: { readonly bank: PcrBank; readonly quoted: Buffer; readonly from?: ImaProgress },
): ImaMatch {
  const known = from ?? { count: 0, aggregate: Buffer.alloc(digestBytes(bank)) };
  let aggregate = known.aggregate;
  let matched = 0;
  while (!aggregate.equals(quoted)) {
    const entry = entries[matched];
    if (entry === undefined) {
      throw invalidArgument(
        `no beginning of the IMA list leads to the quoted PCR 10 in the ${bank} bank: ${entries.length} entries tried`,
      );
    }
    aggregate = createHash(bank).update(aggregate).update(templateHash(entry, bank)).digest();
    matched++;
  }
  const proven = entries.slice(0, matched);
  const files = proven.flatMap(({ file }, place) =>
    file === undefined || (known.count + place === 0 && file.path === BOOT_AGGREGATE) ? [] : [file],
  );
  return {
    progress: { count: known.count + matched, aggregate },
    entries: proven,
    files,
    violations: proven.filter(({ file }) => file === undefined).length,
  };
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
