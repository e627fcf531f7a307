/** What a TPM keeps without power, such as the certificates of its endorsement keys (TPM 2.0 Part 3 section 31). */
import { BonafideError } from '../../../errors/bonafide-error.js';
import { TPM_HANDLE } from '../../hierarchy.js';
import { NO_PASSWORD, type TpmAuthorization, type TpmTurn } from '../tpm.js';
import { TpmReader } from '../../tpm-reader.js';
import { TpmWriter } from '../../tpm-writer.js';
import { nvBufferBytes } from './capability.js';

const CODE = { read: 0x014e, readPublic: 0x0169 } as const;
/** TPMA_NV bits. */
const OWNER_READ = 1 << 17;
const AUTH_READ = 1 << 18;
const LARGEST_PUBLIC_BYTES = 256;
const LARGEST_READ_BYTES = 1024;
const LARGEST_NV_BYTES = 16 * 1024;

/** @param ownerAuthorization for an index that only the owner may read. */
export async function readNv(
  turn: TpmTurn,
  index: number,
  ownerAuthorization: TpmAuthorization = NO_PASSWORD,
): Promise<Buffer> {
  const { attributes, size } = await readNvPublic(turn, index);
  if (size > LARGEST_NV_BYTES)
    throw new BonafideError(
      'failed_precondition',
      `NV index 0x${index.toString(16)} has ${size} bytes, too many`,
    );
  const isForAnyone = (attributes & AUTH_READ) !== 0 || (attributes & OWNER_READ) === 0;
  const step = Math.min(await nvBufferBytes(turn), LARGEST_READ_BYTES);
  const pieces: Buffer[] = [];
  for (let offset = 0; offset < size; offset += step) {
    const length = Math.min(step, size - offset);
    const { parameters } = await turn.execute({
      name: 'TPM2_NV_Read',
      code: CODE.read,
      handles: [isForAnyone ? index : TPM_HANDLE.owner, index],
      authorizations: [isForAnyone ? NO_PASSWORD : ownerAuthorization],
      parameters: new TpmWriter().uint16(length).uint16(offset).build(),
    });
    const piece = parameters.readSized(LARGEST_READ_BYTES, 'data');
    if (piece.length !== length) throw parameters.malformed('data', `is not of ${length} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** TPMS_NV_PUBLIC. */
async function readNvPublic(
  turn: TpmTurn,
  index: number,
): Promise<{ readonly attributes: number; readonly size: number }> {
  const { parameters } = await turn.execute({
    name: 'TPM2_NV_ReadPublic',
    code: CODE.readPublic,
    handles: [index],
  });
  const reader = new TpmReader(parameters.readSized(LARGEST_PUBLIC_BYTES, 'public area'), 'NV public area');
  reader.readUint32('index');
  reader.readUint16('name algorithm');
  const attributes = reader.readUint32('attributes');
  reader.readSized(LARGEST_PUBLIC_BYTES, 'policy');
  const size = reader.readUint16('size');
  reader.expectEnd();
  return { attributes, size };
}
