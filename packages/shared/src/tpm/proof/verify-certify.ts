/** Verifies what a TPM says of another key that it holds (TPM2_Certify). */
import { BonafideError } from '../../errors/bonafide-error.js';
import { checkAttestationKey } from './check-attestation-key.js';
import { areSameBytes } from '../same-bytes.js';
import { parseTpmAttest } from '../tpm-attest.js';
import { tpmName, type TpmPublic } from '../tpm-public.js';
import { verifyTpmSignature } from '../tpm-signature.js';

export interface CertificationToVerify {
  readonly ak: TpmPublic;
  readonly attest: Buffer;
  readonly signature: Buffer;
  /** What the TPM was to sign along; SPIRE's agents have it sign nothing. */
  readonly extraData: Buffer;
  /** The key that must be in the TPM of `ak`. */
  readonly certified: TpmPublic;
}

/** @throws BonafideError `permission_denied` when it does not prove it, `invalid_argument` when it is malformed. */
export function verifyCertify(certification: CertificationToVerify): void {
  const { ak, certified } = certification;
  checkAttestationKey(ak);
  verifyTpmSignature(ak, certification.attest, certification.signature);
  const attest = parseTpmAttest(certification.attest);
  if (attest.kind !== 'certify') throw refused('it is no certification');
  if (!areSameBytes(attest.extraData, certification.extraData))
    throw refused('it was not made for this purpose');
  if (!areSameBytes(attest.name, tpmName(certified))) throw refused('it is about another key');
}

function refused(problem: string): BonafideError {
  return new BonafideError('permission_denied', `TPM certification refused: ${problem}`);
}
