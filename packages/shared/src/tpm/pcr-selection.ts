/** Which PCRs of which bank: TPML_PCR_SELECTION (TPM 2.0 Part 2 section 10.9.7). */
import { BonafideError } from '../errors/bonafide-error.js';
import { PCR_COUNT, algorithmOf, type PcrBank } from './algorithm.js';
import type { TpmReader } from './tpm-reader.js';
import { TpmWriter } from './tpm-writer.js';

export interface PcrSelection {
  /** TPM_ALG of the bank; it may be one that we do not know. */
  readonly algorithm: number;
  /** Ascending. */
  readonly pcrs: readonly number[];
}

const MOST_BANKS = 16;
const BITMAP_BYTES = PCR_COUNT / 8;
const LONGEST_BITMAP_BYTES = 4;

/** @throws BonafideError `invalid_argument` unless each is a PCR and there is at least one. */
export function sortedPcrs(pcrs: readonly number[]): readonly number[] {
  const sorted = [...new Set(pcrs)].sort((a, b) => a - b);
  const isSound = sorted.every((pcr) => Number.isInteger(pcr) && pcr >= 0 && pcr < PCR_COUNT);
  if (!isSound || sorted.length === 0 || sorted.length !== pcrs.length)
    throw new BonafideError(
      'invalid_argument',
      `PCRs are different numbers from 0 to ${PCR_COUNT - 1}, at least one`,
    );
  return sorted;
}

export function encodePcrSelection(bank: PcrBank, pcrs: readonly number[]): Buffer {
  const bitmap = Buffer.alloc(BITMAP_BYTES);
  for (const pcr of sortedPcrs(pcrs)) {
    const index = Math.floor(pcr / 8);
    bitmap.writeUInt8(bitmap.readUInt8(index) | (1 << (pcr % 8)), index);
  }
  return new TpmWriter().uint32(1).uint16(algorithmOf(bank)).uint8(BITMAP_BYTES).bytes(bitmap).build();
}

export function readPcrSelections(reader: TpmReader): readonly PcrSelection[] {
  const selections: PcrSelection[] = [];
  const count = reader.readCount(MOST_BANKS, 'PCR selection');
  for (let index = 0; index < count; index += 1) {
    const algorithm = reader.readUint16('PCR bank');
    const length = reader.readUint8('size of PCR selection');
    if (length > LONGEST_BITMAP_BYTES) throw reader.malformed('size of PCR selection', 'is too large');
    const bitmap = reader.readBytes(length, 'PCR selection');
    selections.push({ algorithm, pcrs: pcrsOf(bitmap) });
  }
  return selections;
}

function pcrsOf(bitmap: Buffer): readonly number[] {
  const pcrs: number[] = [];
  for (const [index, byte] of bitmap.entries())
    for (let bit = 0; bit < 8; bit += 1) if ((byte & (1 << bit)) !== 0) pcrs.push(index * 8 + bit);
  return pcrs;
}
