/** The platform configuration registers, read and extended (TPM 2.0 Part 3 section 22). */
import { BonafideError } from '../../../errors/bonafide-error.js';
import { LONGEST_DIGEST_BYTES, algorithmOf, digestBytes, type PcrBank } from '../../algorithm.js';
import { encodePcrSelection, readPcrSelections, sortedPcrs } from '../../pcr-selection.js';
import { NO_PASSWORD, type TpmTurn } from '../tpm.js';
import { TpmWriter } from '../../tpm-writer.js';

const CODE = { extend: 0x0182, read: 0x017e } as const;
/** TPML_DIGEST: a TPM gives no more at once. */
const MOST_DIGESTS = 8;
const MOST_ATTEMPTS = 16;

/**
 * All of one moment: it begins again when a PCR was extended in between.
 * @throws BonafideError `failed_precondition` when the bank is not active.
 */
export async function readPcrs(
  turn: TpmTurn,
  bank: PcrBank,
  pcrs: readonly number[],
): Promise<ReadonlyMap<number, Buffer>> {
  const wanted = sortedPcrs(pcrs);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const values = await readOnce(turn, bank, wanted);
    if (values !== undefined) return values;
  }
  throw new BonafideError('unavailable', "the TPM's PCRs change all the time; none could be read");
}

/** @param digest as long as the bank's. */
export async function extendPcr(turn: TpmTurn, bank: PcrBank, pcr: number, digest: Buffer): Promise<void> {
  await turn.execute({
    name: 'TPM2_PCR_Extend',
    code: CODE.extend,
    handles: [pcr],
    authorizations: [NO_PASSWORD],
    parameters: new TpmWriter().uint32(1).uint16(algorithmOf(bank)).bytes(digest).build(),
  });
}

/** @returns undefined when a PCR changed between two commands. */
async function readOnce(
  turn: TpmTurn,
  bank: PcrBank,
  wanted: readonly number[],
): Promise<ReadonlyMap<number, Buffer> | undefined> {
  const values = new Map<number, Buffer>();
  let firstCounter: number | undefined;
  for (let left = wanted; left.length > 0; left = left.filter((pcr) => !values.has(pcr))) {
    const { parameters } = await turn.execute({
      name: 'TPM2_PCR_Read',
      code: CODE.read,
      parameters: encodePcrSelection(bank, left),
    });
    const counter = parameters.readUint32('update counter');
    firstCounter ??= counter;
    if (counter !== firstCounter) return undefined;
    const [selection] = readPcrSelections(parameters);
    const given = selection?.algorithm === algorithmOf(bank) ? selection.pcrs : [];
    const count = parameters.readCount(MOST_DIGESTS, 'digests');
    if (count === 0 || count !== given.length)
      throw new BonafideError(
        'failed_precondition',
        `the TPM has no PCRs in a ${bank} bank: it is not active`,
      );
    for (const pcr of given) {
      const value = parameters.readSized(LONGEST_DIGEST_BYTES, 'digest');
      if (!left.includes(pcr) || value.length !== digestBytes(bank))
        throw parameters.malformed('digest', 'is not one that was asked for');
      values.set(pcr, value);
    }
    parameters.expectEnd();
  }
  return new Map(wanted.map((pcr) => [pcr, values.get(pcr) ?? Buffer.alloc(0)]));
}
