/** Whether a manufacturer vouches for an endorsement key: its EK certificate and the way from there to a root that operators trust. */
import type { KeyObject } from 'node:crypto';
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { encodeOid, objectIdentifierHex } from '@bonafide/shared/crypto/der/object-identifier';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { verifyCertificatePath } from '@bonafide/shared/crypto/verify-certificate-path';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { tpmManufacturer } from './tpm-manufacturer.js';

export interface CertifiedEk {
  /** SHA-256 of each authority's certificate on the way to the root, lower-case hex; the issuer first. */
  readonly authorities: readonly string[];
  /** Undefined: the certificate does not say. */
  readonly manufacturer: string | undefined;
}

/** TCG EK Credential Profile 2.5 section 3.5.17: what says that a certificate is about an endorsement key. */
const EK_CERTIFICATE_USAGE = '2.23.133.8.1';
/** Subject directory attributes: the TPM's specification, on which nothing depends. */
const HANDLED_EXTENSIONS = ['2.5.29.9'];
/** Of makers' older authorities. */
const SHA1_SIGNATURES = ['1.2.840.113549.1.1.5', '1.2.840.10045.4.1'].map((oid) =>
  encodeOid(objectIdentifierHex(oid)),
);
const SHA1_ADVICE =
  'it, or one above it, is signed with SHA-1, which proves nothing; enroll the hash of this TPM (bonafide-server tpm enroll with ek_enrollment: true, or ek_hashes_path) to trust it without a certificate';
const MOST_INTERMEDIATES = 8;
const LARGEST_ROOTS_FILE_BYTES = 4 * 1024 * 1024;

/** @throws BonafideError `permission_denied` with the first reason not to believe it. */
export function verifyEkCertificate(evidence: {
  readonly certificate: Buffer;
  readonly chain: readonly Buffer[];
  readonly roots: readonly Buffer[];
  readonly ek: KeyObject;
  readonly now: Date;
}): CertifiedEk {
  try {
    const { leaf, path } = verifyCertificatePath({
      leaf: evidence.certificate,
      intermediates: evidence.chain,
      roots: evidence.roots,
      now: evidence.now,
      handledCriticalExtensions: HANDLED_EXTENSIONS,
      extendedKeyUsage: EK_CERTIFICATE_USAGE,
      maximumIntermediates: MOST_INTERMEDIATES,
    });
    if (leaf.isCa) throw invalidArgument('it is the certificate of an authority');
    const { keyUsages } = leaf;
    if (keyUsages !== undefined && !keyUsages.has('keyEncipherment') && !keyUsages.has('keyAgreement')) {
      throw invalidArgument('its key is for neither encipherment nor agreement');
    }
    if (!leaf.publicKey.equals(evidence.ek)) throw invalidArgument('it is about another key');
    return {
      authorities: path.slice(1).map(({ der }) => createHash('sha256').update(der).digest('hex')),
      manufacturer: tpmManufacturer(leaf),
    };
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    const why = isSignedWithSha1(evidence) ? SHA1_ADVICE : error.message;
    throw new BonafideError('permission_denied', `EK certificate refused: ${why}`, { cause: error });
  }
}

/** A hint and no more: it is refused already. */
function isSignedWithSha1({
  certificate,
  chain,
}: {
  certificate: Buffer;
  chain: readonly Buffer[];
}): boolean {
  return [certificate, ...chain].some((der) => SHA1_SIGNATURES.some((oid) => der.includes(oid)));
}

/** One that cannot be read is nobody's. */
export function isCertificateOfAnotherKey(certificate: Buffer, ek: KeyObject): boolean {
  try {
    return !parseX509Certificate(certificate).publicKey.equals(ek);
  } catch (error) {
    if (error instanceof BonafideError) return false;
    throw error;
  }
}

/** @returns DER of every certificate in the files. @throws BonafideError `invalid_argument` naming the file. */
export async function loadEkRoots(paths: readonly string[]): Promise<readonly Buffer[]> {
  const roots: Buffer[] = [];
  for (const path of paths) {
    try {
      const { size } = await stat(path);
      if (size > LARGEST_ROOTS_FILE_BYTES) {
        throw invalidArgument(`it is larger than ${LARGEST_ROOTS_FILE_BYTES} bytes`);
      }
      for (const der of decodePem('CERTIFICATE', await readFile(path, 'utf8'))) {
        if (!parseX509Certificate(der).isCa)
          throw invalidArgument('it has a certificate that is no authority');
        roots.push(der);
      }
    } catch (error) {
      throw invalidArgument(`ek_roots: cannot use ${path}: ${errorMessage(error)}`, error);
    }
  }
  return roots;
}
