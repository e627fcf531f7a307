/** Whether a DevID key is in the TPM that a manufacturer certified: the EK certificate names the TPM, its AK says which keys are in it. */
import { randomBytes } from 'node:crypto';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { DevIdEvidence } from '@bonafide/shared/node-attestation/tpm-devid-messages';
import { makeCredential, type MadeCredential } from '@bonafide/shared/tpm/proof/make-credential';
import { missingAttributes, type ObjectAttribute } from '@bonafide/shared/tpm/object-attribute';
import { parseTpmPublic, publicKeyOf, tpmName, type TpmPublic } from '@bonafide/shared/tpm/tpm-public';
import { verifyCertify } from '@bonafide/shared/tpm/proof/verify-certify';
import type { X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { verifyEkCertificate } from '../tpm/ek-certificate.js';

interface ResidencyChallenge {
  readonly credential: MadeCredential;
  /** What only that TPM finds in it, and only while it holds the AK. */
  readonly secret: Buffer;
}

interface ResidencyEvidence extends Omit<DevIdEvidence, 'certificates'> {
  /** Whose way to an authority was checked. */
  readonly devId: X509Certificate;
  /** DER, of the makers of TPMs. */
  readonly ekRoots: readonly Buffer[];
  readonly now: Date;
}

/** Made by a TPM, never outside of it, and bound to it. */
const DEVID_ATTRIBUTES: readonly ObjectAttribute[] = [
  'fixedTPM',
  'fixedParent',
  'sensitiveDataOrigin',
  'sign',
];
const SECRET_BYTES = 32;
/** SPIRE's agents have them put nothing into it. */
const NO_EXTRA_DATA = Buffer.alloc(0);

/**
 * All that can be known before the TPM answers.
 * @throws BonafideError `permission_denied` or `invalid_argument` with the first reason not to believe it.
 */
export function challengeResidency(evidence: ResidencyEvidence): ResidencyChallenge {
  const devId = read('DevIDPub', evidence.devIdPublic);
  const ak = readRsa('AKPub', evidence.akPublic);
  const ek = readRsa('EKPub', evidence.ekPublic);
  checkDevIdKey(devId, evidence.devId);
  verifyEkCertificate({
    certificate: evidence.ekCertificate,
    chain: [],
    roots: evidence.ekRoots,
    ek: publicKeyOf(ek),
    now: evidence.now,
  });
  verifyCertify({
    ak,
    attest: evidence.attest,
    signature: evidence.signature,
    extraData: NO_EXTRA_DATA,
    certified: devId,
  });
  const secret = randomBytes(SECRET_BYTES);
  return { credential: makeCredential(ek, tpmName(ak), secret), secret };
}

/** Without this, any key in a genuine TPM would vouch for a certificate whose key is elsewhere. */
function checkDevIdKey(devId: TpmPublic, certificate: X509Certificate): void {
  if (!publicKeyOf(devId).equals(certificate.publicKey)) {
    throw new BonafideError('permission_denied', 'DevIDPub is not the key of the DevID certificate');
  }
  const missing = missingAttributes(devId.attributes, DEVID_ATTRIBUTES);
  if (missing !== '') {
    throw new BonafideError(
      'permission_denied',
      `the DevID key is not bound to its TPM: it lacks ${missing}`,
    );
  }
}

function readRsa(field: string, raw: Buffer): TpmPublic {
  const key = read(field, raw);
  if (key.type === 'rsa') return key;
  throw new BonafideError('invalid_argument', `${field} is not an RSA key; no other is accepted there`);
}

function read(field: string, raw: Buffer): TpmPublic {
  try {
    return parseTpmPublic(raw);
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw new BonafideError(error.reason, `cannot read ${field}: ${errorMessage(error)}`, { cause: error });
  }
}
