/** The certificates with which AWS signs identity documents, region by region, as the configuration names their files. */
import { readFile } from 'node:fs/promises';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';

export interface RegionCertificate {
  readonly region: string;
  readonly certificate: X509Certificate;
}

/**
 * A certificate here is the trust anchor itself: nothing vouches for it but the operator who put it there.
 * @throws BonafideError `invalid_argument` naming the region and file.
 */
export async function loadRegionCertificates(
  files: Readonly<Record<string, string>>,
): Promise<readonly RegionCertificate[]> {
  const loaded: RegionCertificate[] = [];
  for (const [region, file] of Object.entries(files)) {
    try {
      for (const der of decodePem('CERTIFICATE', await readFile(file, 'utf8'))) {
        loaded.push({ region, certificate: parseX509Certificate(der) });
      }
    } catch (cause) {
      throw new BonafideError(
        'invalid_argument',
        `cannot use verification_certificates of ${region}, ${file}: ${errorMessage(cause)}; expected the RSA-2048 certificates that AWS publishes for that region, in PEM`,
        { cause },
      );
    }
  }
  return loaded;
}
