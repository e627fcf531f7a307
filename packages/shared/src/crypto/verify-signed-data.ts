/** Whether a certificate's key signed what a PKCS#7 signature holds (RFC 5652 section 5.6); only then is there content. */
import { hash, timingSafeEqual } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { DER_TAG } from './der/der-tag.js';
import { rsaSignatureAlgorithm, verifySignature } from './signature-algorithm.js';
import type { SignedData, SignerInfo } from './signed-data.js';
import type { X509Certificate } from './x509-certificate.js';

/** Whether the signature says that it was made with this certificate's key. */
export function isSignerCertificate(
  { issuer, serialNumber }: SignerInfo,
  certificate: X509Certificate,
): boolean {
  return certificate.serialNumber === serialNumber && certificate.issuer.equals(issuer);
}

/**
 * @param certificate whom to believe is for the caller to decide, before or after.
 * @returns the content: exactly the bytes that are signed.
 * @throws BonafideError `invalid_argument` when that key did not sign it.
 */
export async function verifySignedData(signed: SignedData, certificate: X509Certificate): Promise<Buffer> {
  const { unverifiedContent: content, signer } = signed;
  if (!isSignerCertificate(signer, certificate))
    throw invalidArgument('the PKCS#7 signature is not of the expected certificate');
  if (certificate.subjectPublicKey.kind !== 'rsa')
    throw invalidArgument('the PKCS#7 signature is not of an RSA key');
  const { hash: algorithm, signedAttributes, signature } = signer;
  if (signedAttributes === undefined) {
    // What was signed as attributes must not come back as content (RFC 9589 section 3).
    if (content[0] === DER_TAG.set) throw invalidArgument('the signed content is a set of attributes');
  } else {
    const digest = hash(algorithm, content, 'buffer');
    const { messageDigest } = signedAttributes;
    if (messageDigest.length !== digest.length || !timingSafeEqual(messageDigest, digest))
      throw invalidArgument('the PKCS#7 signature covers other content than it carries');
  }
  const isSigned = await verifySignature({
    algorithm: rsaSignatureAlgorithm(algorithm),
    publicKey: certificate.publicKey,
    data: signedAttributes?.der ?? content,
    signature,
  });
  if (!isSigned) throw invalidArgument('the PKCS#7 signature is wrong');
  return content;
}
