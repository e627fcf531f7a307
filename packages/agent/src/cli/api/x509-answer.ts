/** An answer of the Workload API as a workload would take it: parsed whole, and verified against the bundle that came with it. */
import { splitCertificates } from '@bonafide/shared/crypto/certificate-sequence';
import { importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { X509SVID__Output } from '@bonafide/shared/rpc/gen/X509SVID';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';

export interface AnsweredSvid {
  readonly spiffeId: string;
  readonly hint: string;
  /** Leaf first. */
  readonly certificates: readonly X509Certificate[];
  /** PKCS#8, DER. */
  readonly privateKey: Buffer;
  readonly bundle: readonly X509Certificate[];
  /** By trust domain, in its order. */
  readonly federatedBundles: readonly (readonly [string, readonly X509Certificate[]])[];
}

/** @throws BonafideError `internal` naming what is wrong with the answer. */
export function readX509Answer(response: X509SVIDResponse__Output, now: Date): readonly AnsweredSvid[] {
  if (response.svids.length === 0) throw unusable('it has no SVIDs');
  const federatedBundles = Object.entries(response.federatedBundles)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, der]) => [id, reading(`the bundle of ${id}`, () => readCertificates(der))] as const);
  return response.svids.map((svid) =>
    reading(`the SVID of ${JSON.stringify(svid.spiffeId)}`, () => readSvid(svid, federatedBundles, now)),
  );
}

function readSvid(
  svid: X509SVID__Output,
  federatedBundles: AnsweredSvid['federatedBundles'],
  now: Date,
): AnsweredSvid {
  const certificates = readCertificates(svid.x509Svid);
  const bundle = readCertificates(svid.bundle);
  importPkcs8(svid.x509SvidKey);
  const { spiffeId } = verifyX509Svid({
    chain: certificates.map(({ der }) => der),
    authorities: bundle.map(({ der }) => der),
    now,
  });
  if (spiffeId !== svid.spiffeId) throw unusable(`the certificate is of ${spiffeId}`);
  return { spiffeId, hint: svid.hint, certificates, privateKey: svid.x509SvidKey, bundle, federatedBundles };
}

function readCertificates(bytes: Buffer): readonly X509Certificate[] {
  return splitCertificates(bytes, 'certificates').map(parseX509Certificate);
}

function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw unusable(`${what}: ${errorMessage(error)}`, error);
  }
}

function unusable(why: string, cause?: unknown): BonafideError {
  return new BonafideError('internal', `the answer of the Workload API cannot be used: ${why}`, { cause });
}
