/**
 * The list of files that a Linux kernel measured, in its binary form, little endian (kernel documentation,
 * security/IMA-templates; the templates ima-ng and ima-sig).
 *
 * Neither the PCR nor the name of the template is part of what is measured, so nothing is skipped by them: every entry is
 * one of PCR 10 and speaks of a file, or the list is refused.
 */
import { invalidArgument } from '../../errors/bonafide-error.js';
import { digestBytes, IMA_PCR, isPcrBank } from '../algorithm.js';
import { LittleEndianReader } from './boot-log/little-endian-reader.js';

export const MAXIMUM_IMA_LIST_BYTES = 8 * 1024 * 1024;
export const MAXIMUM_IMA_ENTRIES = 100_000;
const TEMPLATE_DIGEST_BYTES = 20;
const MAXIMUM_TEMPLATE_NAME_BYTES = 16;
const MAXIMUM_TEMPLATE_BYTES = 64 * 1024;
const MAXIMUM_PATH_BYTES = 4096;
/** The fields of a template: digest, path and, in ima-sig, a signature. */
const TEMPLATE_FIELDS: ReadonlyMap<string, number> = new Map([
  ['ima-ng', 2],
  ['ima-sig', 3],
]);

/** A file as it was when it was run, mapped or read. */
export interface MeasuredFile {
  readonly path: string;
  /** As the kernel names it: sha1, sha256, ... */
  readonly algorithm: string;
  /** Lower case hex. */
  readonly digest: string;
}

export interface ImaEntry {
  /** SHA-1 of the template data, as the list states it. */
  readonly templateDigest: Buffer;
  readonly templateData: Buffer;
  /** Undefined for a violation (a file that changed while it was measured): nothing its entry says is proven. */
  readonly file: MeasuredFile | undefined;
}

/**
 * One entry after the other, so that whoever reads a long list can let others have their turn.
 * @param raw the list, or the part of it that follows the entries which are known already
 * @throws BonafideError invalid_argument
 */
export function* readImaEntries(raw: Buffer): Generator<ImaEntry, void, void> {
  if (raw.length > MAXIMUM_IMA_LIST_BYTES) {
    throw invalidArgument(`the IMA list has ${raw.length} bytes: expected at most ${MAXIMUM_IMA_LIST_BYTES}`);
  }
  const reader = new LittleEndianReader(raw, 'the IMA list');
  for (let count = 0; !reader.isAtEnd; count++) {
    if (count >= MAXIMUM_IMA_ENTRIES) {
      throw invalidArgument(`the IMA list has more than ${MAXIMUM_IMA_ENTRIES} entries`);
    }
    yield readEntry(reader);
  }
}

/** The same, all at once. */
export function parseImaList(raw: Buffer): readonly ImaEntry[] {
  return [...readImaEntries(raw)];
}

function readEntry(reader: LittleEndianReader): ImaEntry {
  const pcr = reader.uint32();
  if (pcr !== IMA_PCR) {
    throw invalidArgument(`the IMA list has an entry of PCR ${pcr}: expected ${IMA_PCR} alone`);
  }
  const templateDigest = reader.bytes(TEMPLATE_DIGEST_BYTES);
  const fieldCount = TEMPLATE_FIELDS.get(readText(reader, MAXIMUM_TEMPLATE_NAME_BYTES));
  if (fieldCount === undefined) {
    throw invalidArgument('the IMA list has an unknown template: expected ima-ng or ima-sig');
  }
  const templateData = readBounded(reader, MAXIMUM_TEMPLATE_BYTES);
  const isViolation = templateDigest.every((byte) => byte === 0);
  return {
    templateDigest,
    templateData,
    file: isViolation ? undefined : parseFile(templateData, fieldCount),
  };
}

function parseFile(templateData: Buffer, fieldCount: number): MeasuredFile {
  const reader = new LittleEndianReader(templateData, 'an entry of the IMA list');
  const digest = readBounded(reader, MAXIMUM_TEMPLATE_BYTES);
  const path = readBounded(reader, MAXIMUM_PATH_BYTES + 1);
  for (let field = 2; field < fieldCount; field++) {
    readBounded(reader, MAXIMUM_TEMPLATE_BYTES);
  }
  reader.expectEnd();
  if (path.length === 0 || path.indexOf(0) !== path.length - 1) {
    throw invalidArgument('the IMA list has a path that does not end with its only zero byte');
  }
  return { path: path.toString('utf8', 0, path.length - 1), ...parseDigest(digest) };
}

/** The algorithm, a colon, a zero byte, the digest. */
function parseDigest(field: Buffer): { readonly algorithm: string; readonly digest: string } {
  const end = field.indexOf(':\0');
  const algorithm = field.toString('latin1', 0, Math.max(end, 0));
  const digest = field.subarray(end + 2);
  const isKnownSize = isPcrBank(algorithm) ? digest.length === digestBytes(algorithm) : digest.length <= 64;
  if (!/^[a-z0-9-]{2,24}$/u.test(algorithm) || digest.length === 0 || !isKnownSize) {
    throw invalidArgument(
      'the IMA list has a digest that is not an algorithm, a colon, a zero byte and a hash',
    );
  }
  return { algorithm, digest: digest.toString('hex') };
}

function readText(reader: LittleEndianReader, maximum: number): string {
  return readBounded(reader, maximum).toString('latin1');
}

function readBounded(reader: LittleEndianReader, maximum: number): Buffer {
  const length = reader.uint32();
  if (length > maximum) {
    throw invalidArgument(`the IMA list has a field of ${length} bytes: expected at most ${maximum}`);
  }
  return reader.bytes(length);
}
