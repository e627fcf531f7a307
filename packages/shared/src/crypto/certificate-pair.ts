/** A certificate chain and its private key as PEM, as TLS servers are configured with: whether they belong together, and for how long. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { errorMessage, invalidArgument } from '../errors/bonafide-error.js';

export interface CertificatePair {
  /** The leaf first, then its intermediates. */
  readonly cert: string;
  readonly key: string;
}

export interface CheckedCertificatePair extends CertificatePair {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** @throws BonafideError `invalid_argument` saying which half is wrong. The message never quotes key bytes. */
export function checkCertificatePair({ cert, key }: CertificatePair): CheckedCertificatePair {
  const leaf = readLeaf(cert);
  let privateKey;
  try {
    privateKey = createPrivateKey(key);
  } catch (cause) {
    throw invalidArgument('the private key is not an unencrypted PEM key', cause);
  }
  if (!leaf.checkPrivateKey(privateKey)) {
    throw invalidArgument('the private key does not belong to the first certificate of the chain');
  }
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw invalidArgument(`the certificate chain cannot be used for TLS: ${errorMessage(cause)}`, cause);
  }
  return { cert, key, notBefore: new Date(leaf.validFrom), notAfter: new Date(leaf.validTo) };
}

function readLeaf(cert: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (cause) {
    throw invalidArgument('there is no PEM certificate; expected -----BEGIN CERTIFICATE-----', cause);
  }
}
