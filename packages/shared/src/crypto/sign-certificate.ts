/** Makes a certificate from explicitly named fields (RFC 5280 section 4.1); the cold paths: authorities and tests. */
import { randomBytes } from 'node:crypto';
import { derBitString, derElement, derSequence, derTime, derUnsignedInteger } from './der/der-writer.js';
import { contextTag, DER_TAG } from './der/der-tag.js';
import { signatureAlgorithmFor, type SignatureAlgorithm } from './signature-algorithm.js';
import type { Signer } from './signer.js';

/** `[0] EXPLICIT Version`, v3. */
export const VERSION_3 = derElement(contextTag(0), derElement(DER_TAG.integer, Buffer.from([2])));

export interface TbsCertificateFields {
  /** Big-endian magnitude, 1 to 20 bytes, not zero. */
  readonly serialNumber: Buffer;
  readonly algorithm: SignatureAlgorithm;
  /** Names and SPKI, DER. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly spki: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Each one an Extension, DER. */
  readonly extensions: readonly Buffer[];
}

export function encodeTbsCertificate(fields: TbsCertificateFields): Buffer {
  return derSequence(
    VERSION_3,
    derUnsignedInteger(fields.serialNumber),
    fields.algorithm.identifier,
    fields.issuer,
    derSequence(derTime(fields.notBefore), derTime(fields.notAfter)),
    fields.subject,
    fields.spki,
    derElement(contextTag(3), derSequence(...fields.extensions)),
  );
}

/**
 * @param fields everything but the algorithm, which is the signer's.
 * @param inspect looks at what will be signed; throws when it should not be.
 */
export async function signCertificate(
  fields: Omit<TbsCertificateFields, 'algorithm'>,
  signer: Signer,
  inspect?: (tbs: Buffer) => void,
): Promise<Buffer> {
  const algorithm = signatureAlgorithmFor(signer.keyType);
  const tbs = encodeTbsCertificate({ ...fields, algorithm });
  inspect?.(tbs);
  return encodeCertificate(tbs, algorithm, await signer.sign(tbs, algorithm.hash));
}

export function encodeCertificate(tbs: Buffer, algorithm: SignatureAlgorithm, signature: Buffer): Buffer {
  return derSequence(tbs, algorithm.identifier, derBitString(signature));
}

/** Random bytes are cheaper by the page. Serial numbers are unpredictable until they are published, and no secret after. */
const PAGE_BYTES = 4096;
const SERIAL_NUMBER_BYTES = 16;
let page = Buffer.alloc(0);

/** 16 bytes, of which 126 bits are random: the first two bits make it positive and never short. */
export function generateSerialNumber(): Buffer {
  if (page.length === 0) page = randomBytes(PAGE_BYTES);
  const bytes = page.subarray(0, SERIAL_NUMBER_BYTES);
  page = page.subarray(SERIAL_NUMBER_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}
