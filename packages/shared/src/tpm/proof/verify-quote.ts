/** Verifies what a TPM says of its PCRs (TPM2_Quote): every field of it, before any is believed. */
import { BonafideError } from '../../errors/bonafide-error.js';
import { algorithmOf, digestBytes, tpmDigest, type PcrBank } from '../algorithm.js';
import { checkAttestationKey } from './check-attestation-key.js';
import type { TpmHierarchy } from '../hierarchy.js';
import { sortedPcrs } from '../pcr-selection.js';
import { areSameBytes } from '../same-bytes.js';
import { parseTpmAttest, type TpmClock, type TpmQuoteAttest } from '../tpm-attest.js';
import { qualifiedNameOfPrimary, type TpmPublic } from '../tpm-public.js';
import { verifyTpmSignature } from '../tpm-signature.js';

export interface QuoteToVerify {
  /** Known to be in the TPM in question, by a credential that was activated. */
  readonly ak: TpmPublic;
  readonly attest: Buffer;
  readonly signature: Buffer;
  /** What the TPM was to sign along. */
  readonly extraData: Buffer;
  readonly bank: PcrBank;
  /** Exactly these must be quoted. */
  readonly pcrs: readonly number[];
  /** The values that are claimed, of exactly these PCRs. */
  readonly values: ReadonlyMap<number, Buffer>;
  /** In which `ak` is a primary key; `endorsement` unless told. */
  readonly hierarchy?: TpmHierarchy;
}

export interface VerifiedQuote extends TpmClock {
  readonly firmwareVersion: bigint;
  readonly bank: PcrBank;
  /** Of the PCRs that were asked for, and no others. */
  readonly values: ReadonlyMap<number, Buffer>;
}

/** @throws BonafideError `permission_denied` when it does not prove what it should, `invalid_argument` when it is malformed. */
export function verifyQuote(quote: QuoteToVerify): VerifiedQuote {
  const { ak, bank } = quote;
  checkAttestationKey(ak);
  verifyTpmSignature(ak, quote.attest, quote.signature);
  const attest = parseTpmAttest(quote.attest);
  if (attest.kind !== 'quote') throw refused('it is no quote');
  if (!areSameBytes(attest.extraData, quote.extraData))
    throw refused('it was not made for this challenge and this key');
  const signer = qualifiedNameOfPrimary(ak, quote.hierarchy ?? 'endorsement');
  if (!areSameBytes(attest.qualifiedSigner, signer))
    throw refused('it was made by a key of another place in the TPM');
  const pcrs = sortedPcrs(quote.pcrs);
  checkSelection(attest, bank, pcrs);
  const values = valuesOf(quote, pcrs);
  // Signing schemes name the hash of the PCR digest too (TPM 2.0 Part 3 section 18.4).
  const digest = tpmDigest(ak.scheme?.hash ?? 'sha256', ...values.values());
  if (!areSameBytes(attest.pcrDigest, digest))
    throw refused('the values of PCRs are not those that were quoted');
  const { clock, resetCount, restartCount, isSafe, firmwareVersion } = attest;
  return { clock, resetCount, restartCount, isSafe, firmwareVersion, bank, values };
}

/** A TPM signs whatever selection it is asked for, the empty one too: it must be ours, in one piece. */
function checkSelection(attest: TpmQuoteAttest, bank: PcrBank, pcrs: readonly number[]): void {
  const [selection, ...others] = attest.selections;
  if (selection === undefined || others.length > 0) throw refused('it covers not exactly one bank of PCRs');
  if (selection.algorithm !== algorithmOf(bank)) throw refused(`it covers another bank than ${bank}`);
  if (selection.pcrs.join() !== pcrs.join()) throw refused(`it covers other PCRs than ${pcrs.join(', ')}`);
}

function valuesOf({ bank, values }: QuoteToVerify, pcrs: readonly number[]): ReadonlyMap<number, Buffer> {
  if (values.size !== pcrs.length) throw refused('it comes with values of other PCRs');
  return new Map(
    pcrs.map((pcr) => {
      const value = values.get(pcr);
      if (value?.length !== digestBytes(bank))
        throw refused(`it comes without a ${bank} value of PCR ${pcr}`);
      return [pcr, value];
    }),
  );
}

function refused(problem: string): BonafideError {
  return new BonafideError('permission_denied', `TPM quote refused: ${problem}`);
}
