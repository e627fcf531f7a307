/** A certificate of the endorsement key that is not in the TPM: some makers hand it out on paper, or on their web site. */
import { readFile } from 'node:fs/promises';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { publicKeyOf, type TpmPublic } from '@bonafide/shared/tpm/tpm-public';

export interface EndorsementCertificates {
  /** DER. */
  readonly certificate: Buffer;
  /** DER, its issuers. */
  readonly chain: readonly Buffer[];
}

const PEM = '-----BEGIN ';

/**
 * @param path PEM, the certificate first and then its issuers; or DER, the certificate alone.
 * @throws BonafideError `failed_precondition` unless the file holds a certificate of that key.
 */
export async function readEndorsementCertificates(
  path: string,
  ek: TpmPublic,
): Promise<EndorsementCertificates> {
  let certificates: readonly Buffer[];
  try {
    const bytes = await readFile(path);
    certificates = bytes.includes(PEM) ? decodePem('CERTIFICATE', bytes.toString('latin1')) : [bytes];
  } catch (error) {
    throw unusable(path, errorMessage(error), error);
  }
  const [certificate, ...chain] = certificates;
  if (certificate === undefined) throw unusable(path, 'it holds no certificate');
  if (!isOf(ek, certificate, path)) {
    throw unusable(path, "it is the certificate of another key than this TPM's endorsement key");
  }
  return { certificate, chain };
}

function isOf(ek: TpmPublic, certificate: Buffer, path: string): boolean {
  try {
    return parseX509Certificate(certificate).publicKey.equals(publicKeyOf(ek));
  } catch (error) {
    throw unusable(path, errorMessage(error), error);
  }
}

function unusable(path: string, why: string, cause?: unknown): BonafideError {
  return new BonafideError(
    'failed_precondition',
    `the file of ek_certificate_path, ${path}, cannot be used: ${why}; expected the certificate of this machine's TPM, PEM or DER`,
    { cause },
  );
}
