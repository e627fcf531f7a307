/** What a TPM says of an object it holds: TPMA_OBJECT (TPM 2.0 Part 2 section 8.3). */
import type { TpmReader } from './tpm-reader.js';

const BIT = {
  fixedTPM: 1,
  stClear: 2,
  fixedParent: 4,
  sensitiveDataOrigin: 5,
  userWithAuth: 6,
  adminWithPolicy: 7,
  firmwareLimited: 8,
  svnLimited: 9,
  noDA: 10,
  encryptedDuplication: 11,
  restricted: 16,
  decrypt: 17,
  sign: 18,
  x509sign: 19,
} as const;

export type ObjectAttribute = keyof typeof BIT;

const NAMES = Object.keys(BIT) as readonly ObjectAttribute[];
const KNOWN_BITS = attributeBits(NAMES);

export function attributeBits(attributes: Iterable<ObjectAttribute>): number {
  let bits = 0;
  for (const attribute of attributes) bits += 2 ** BIT[attribute];
  return bits;
}

export function readAttributes(reader: TpmReader): ReadonlySet<ObjectAttribute> {
  const bits = reader.readUint32('attributes');
  if ((bits & ~KNOWN_BITS) !== 0) throw reader.malformed('attributes', 'have a reserved bit set');
  return new Set(NAMES.filter((name) => (bits & (1 << BIT[name])) !== 0));
}

/** Of those, the ones that are absent, in words. */
export function missingAttributes(
  attributes: ReadonlySet<ObjectAttribute>,
  required: readonly ObjectAttribute[],
): string {
  return required.filter((attribute) => !attributes.has(attribute)).join(', ');
}
