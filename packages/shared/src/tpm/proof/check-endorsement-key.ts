/** What an endorsement key must be before a secret is made for it (TCG EK Credential Profile 2.5 annex B). */
import { BonafideError } from '../../errors/bonafide-error.js';
import { TPM_ALG } from '../algorithm.js';
import { missingAttributes, type ObjectAttribute } from '../object-attribute.js';
import type { TpmPublic } from '../tpm-public.js';

const REQUIRED: readonly ObjectAttribute[] = [
  'fixedTPM',
  'fixedParent',
  'sensitiveDataOrigin',
  'adminWithPolicy',
  'restricted',
  'decrypt',
];
const SMALLEST_RSA_BITS = 2048;

/** @throws BonafideError `permission_denied` naming what no endorsement key would have. */
export function checkEndorsementKey(ek: TpmPublic): void {
  const missing = missingAttributes(ek.attributes, REQUIRED);
  if (missing !== '') throw refused(`lacks ${missing}`);
  if (ek.attributes.has('sign')) throw refused('also signs');
  if (ek.nameAlgorithm === 'sha1') throw refused('is named by SHA-1');
  if (ek.type === 'rsa' && ek.key.bits < SMALLEST_RSA_BITS) throw refused(`has only ${ek.key.bits} bits`);
  const { symmetric } = ek;
  const isAes = symmetric?.algorithm === TPM_ALG.aes && symmetric.mode === TPM_ALG.cfb;
  if (!isAes || ![128, 192, 256].includes(symmetric.keyBits))
    throw refused('does not protect by AES in CFB mode');
  if (ek.scheme !== undefined) throw refused('is bound to a scheme');
}

function refused(problem: string): BonafideError {
  return new BonafideError('permission_denied', `endorsement key refused: it ${problem}`);
}
