/** What an attestation key must be before anything it signed is believed: a key that the TPM made, and that signs only what the TPM says of itself. */
import { BonafideError } from '../../errors/bonafide-error.js';
import { TPM_ALG } from '../algorithm.js';
import { missingAttributes, type ObjectAttribute } from '../object-attribute.js';
import type { TpmPublic } from '../tpm-public.js';

/** `restricted`: it signs no data from outside that claims to be the TPM's; without it a quote can be invented. */
const REQUIRED: readonly ObjectAttribute[] = [
  'fixedTPM',
  'fixedParent',
  'sensitiveDataOrigin',
  'restricted',
  'sign',
];
const SMALLEST_RSA_BITS = 2048;

/** @throws BonafideError `permission_denied` naming what is wrong with it. */
export function checkAttestationKey(ak: TpmPublic): void {
  const missing = missingAttributes(ak.attributes, REQUIRED);
  if (missing !== '') throw refused(`lacks ${missing}`);
  if (ak.attributes.has('decrypt')) throw refused('also decrypts');
  if (ak.attributes.has('x509sign')) throw refused('also signs certificates');
  if (ak.nameAlgorithm === 'sha1') throw refused('is named by SHA-1');
  if (ak.symmetric !== undefined) throw refused('protects other keys');
  if (ak.type === 'rsa' && ak.key.bits < SMALLEST_RSA_BITS) throw refused(`has only ${ak.key.bits} bits`);
  const schemes: readonly number[] = ak.type === 'rsa' ? [TPM_ALG.rsassa, TPM_ALG.rsapss] : [TPM_ALG.ecdsa];
  if (ak.scheme === undefined || !schemes.includes(ak.scheme.algorithm))
    throw refused('is bound to no scheme of signatures');
  if (ak.scheme.hash === undefined || ak.scheme.hash === 'sha1') throw refused('signs by SHA-1');
}

function refused(problem: string): BonafideError {
  return new BonafideError('permission_denied', `attestation key refused: it ${problem}`);
}
