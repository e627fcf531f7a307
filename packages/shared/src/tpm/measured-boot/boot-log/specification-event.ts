/** The first event of a log: which digests each later event carries (TCG PC Client Platform Firmware Profile, section 10.4.5.1). */
import { invalidArgument } from '../../../errors/bonafide-error.js';
import { digestBytes, hashOf, type PcrBank } from '../../algorithm.js';
import { LittleEndianReader } from './little-endian-reader.js';

const SIGNATURE = Buffer.from('Spec ID Event03\0');
const MAXIMUM_ALGORITHMS = 8;
const MAXIMUM_DIGEST_SIZE = 64;

export interface LogAlgorithm {
  readonly id: number;
  readonly digestSize: number;
  /** Undefined for an algorithm we keep no bank of: its digests are skipped. */
  readonly bank: PcrBank | undefined;
}

export function isSpecificationEvent(data: Buffer): boolean {
  return data.subarray(0, SIGNATURE.length).equals(SIGNATURE);
}

/** @throws BonafideError invalid_argument */
export function parseSpecificationEvent(data: Buffer): readonly LogAlgorithm[] {
  const reader = new LittleEndianReader(data, "the boot log's header");
  reader.bytes(SIGNATURE.length);
  reader.uint32(); // platform class
  reader.bytes(4); // minor version, major version, errata, size of a UINTN
  const count = reader.uint32();
  if (count < 1 || count > MAXIMUM_ALGORITHMS) {
    throw invalidArgument(`the boot log names ${count} algorithms: expected 1 to ${MAXIMUM_ALGORITHMS}`);
  }
  const algorithms: LogAlgorithm[] = [];
  for (let index = 0; index < count; index++) {
    algorithms.push(readAlgorithm(reader, algorithms));
  }
  reader.bytes(reader.uint8()); // whatever the vendor adds
  reader.expectEnd();
  return algorithms;
}

function readAlgorithm(reader: LittleEndianReader, earlier: readonly LogAlgorithm[]): LogAlgorithm {
  const id = reader.uint16();
  const digestSize = reader.uint16();
  const bank = hashOf(id);
  const expected = bank === undefined ? undefined : digestBytes(bank);
  if (digestSize === 0 || digestSize > MAXIMUM_DIGEST_SIZE || (expected ?? digestSize) !== digestSize) {
    throw invalidArgument(`the boot log gives algorithm 0x${id.toString(16)} digests of ${digestSize} bytes`);
  }
  if (earlier.some((algorithm) => algorithm.id === id)) {
    throw invalidArgument(`the boot log names algorithm 0x${id.toString(16)} twice`);
  }
  return { id, digestSize, bank };
}
