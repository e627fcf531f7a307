/** What a TPM signs about itself: TPMS_ATTEST (TPM 2.0 Part 2 section 10.12.12), as a quote or as a certification of another key. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { LONGEST_DIGEST_BYTES } from './algorithm.js';
import { readPcrSelections, type PcrSelection } from './pcr-selection.js';
import { TpmReader } from './tpm-reader.js';

/** Counts since the TPM was last cleared; they never go back without that. */
export interface TpmClock {
  /** Milliseconds that the TPM was powered. */
  readonly clock: bigint;
  /** One up with each start of the machine. */
  readonly resetCount: number;
  /** One up with each wake-up; 0 after a reset. */
  readonly restartCount: number;
  /** False when `clock` may have been higher before. */
  readonly isSafe: boolean;
}

interface TpmAttestCommon extends TpmClock {
  readonly qualifiedSigner: Buffer;
  readonly extraData: Buffer;
  readonly firmwareVersion: bigint;
}

export interface TpmQuoteAttest extends TpmAttestCommon {
  readonly kind: 'quote';
  readonly selections: readonly PcrSelection[];
  readonly pcrDigest: Buffer;
}

interface TpmCertifyAttest extends TpmAttestCommon {
  readonly kind: 'certify';
  readonly name: Buffer;
  readonly qualifiedName: Buffer;
}

export type TpmAttest = TpmQuoteAttest | TpmCertifyAttest;

const SUBJECT = 'TPM attestation';
export const LARGEST_ATTEST_BYTES = 1024;
/** TPM_GENERATED_VALUE: a restricted key signs nothing from outside that begins with it. */
const MAGIC = 0xff544347;
const CERTIFY_TYPE = 0x8017;
const QUOTE_TYPE = 0x8018;
const LONGEST_NAME_BYTES = 2 + LONGEST_DIGEST_BYTES;

/** @throws BonafideError `invalid_argument`. Nothing in it may be believed before its signature is verified. */
export function parseTpmAttest(raw: Buffer): TpmAttest {
  if (raw.length > LARGEST_ATTEST_BYTES)
    throw invalidArgument(`${SUBJECT}: more than ${LARGEST_ATTEST_BYTES} bytes`);
  const reader = new TpmReader(raw, SUBJECT);
  if (reader.readUint32('magic') !== MAGIC) throw reader.malformed('magic', 'says that no TPM made this');
  const type = reader.readUint16('type');
  if (type !== QUOTE_TYPE && type !== CERTIFY_TYPE)
    throw reader.malformed('type', 'is neither a quote nor a certification');
  const common: TpmAttestCommon = {
    qualifiedSigner: reader.readSized(LONGEST_NAME_BYTES, 'signer'),
    extraData: reader.readSized(LONGEST_NAME_BYTES, 'extra data'),
    ...readTpmClock(reader),
    firmwareVersion: reader.readUint64('firmware version'),
  };
  const attest: TpmAttest =
    type === QUOTE_TYPE
      ? {
          ...common,
          kind: 'quote',
          selections: readPcrSelections(reader),
          pcrDigest: reader.readSized(LONGEST_DIGEST_BYTES, 'PCR digest'),
        }
      : {
          ...common,
          kind: 'certify',
          name: reader.readSized(LONGEST_NAME_BYTES, 'name'),
          qualifiedName: reader.readSized(LONGEST_NAME_BYTES, 'qualified name'),
        };
  reader.expectEnd();
  return attest;
}

/** TPMS_CLOCK_INFO. */
export function readTpmClock(reader: TpmReader): TpmClock {
  return {
    clock: reader.readUint64('clock'),
    resetCount: reader.readUint32('reset count'),
    restartCount: reader.readUint32('restart count'),
    isSafe: reader.readBoolean('safe'),
  };
}
