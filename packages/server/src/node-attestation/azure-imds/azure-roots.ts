/** The authorities that vouch for the keys with which Azure signs attested documents. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';

/**
 * DigiCert Global Root G2, until 15 January 2038: SHA-256 as on https://www.digicert.com/kb/digicert-root-certificates.htm. Node.js
 * brings the certificate. The roots of Microsoft's own are signed by it, too.
 */
const DIGICERT_GLOBAL_ROOT_G2 =
  'CB:3C:CB:B7:60:31:E5:E0:13:8F:8D:D3:9A:23:F9:DE:47:FF:C3:5E:43:C1:14:4C:EA:27:D4:6A:5A:B1:CB:5F';

/**
 * @param bundlePath PEM of authorities that are believed besides.
 * @returns DER.
 * @throws BonafideError `invalid_argument` when the file has something else than certificates of authorities.
 */
export async function loadAzureRoots(bundlePath: string | undefined): Promise<readonly Buffer[]> {
  const known = rootCertificates
    .map((pem) => new X509Certificate(pem))
    .filter(({ fingerprint256 }) => fingerprint256 === DIGICERT_GLOBAL_ROOT_G2)
    .map(({ raw }) => raw);
  if (bundlePath === undefined) return known;
  try {
    const added = decodePem('CERTIFICATE', await readFile(bundlePath, 'utf8'));
    for (const der of added)
      if (!parseX509Certificate(der).isCa) throw invalidArgument('it has the certificate of no authority');
    return [...known, ...added];
  } catch (cause) {
    const message = `cannot use trust_bundle_path ${bundlePath}: ${errorMessage(cause)}`;
    throw new BonafideError('invalid_argument', message, { cause });
  }
}
