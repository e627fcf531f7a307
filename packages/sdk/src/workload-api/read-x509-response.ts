/** From the Workload API's messages to an X509Context; a message with a field missing or malformed is refused whole (section 4.5). */
import { splitCertificates } from '@bonafide/shared/crypto/certificate-sequence';
import { importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { X509BundlesResponse__Output } from '@bonafide/shared/rpc/gen/X509BundlesResponse';
import type { X509SVID__Output } from '@bonafide/shared/rpc/gen/X509SVID';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import { trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createPublicKey } from 'node:crypto';
import type { X509Bundle, X509Bundles, X509Context } from './x509-context.js';

/** @throws BonafideError `internal` naming the field. */
export function readX509Context(response: X509SVIDResponse__Output): X509Context {
  const bundles = new Map<TrustDomain, X509Bundle>();
  for (const [id, der] of Object.entries(response.federatedBundles)) {
    const bundle = readBundle(id, der);
    bundles.set(bundle.trustDomain, bundle);
  }
  const [first, ...rest] = response.svids.map((message, index) => {
    try {
      const svid = readSvid(message);
      // After the federated ones: nobody else's word on our own trust domain counts.
      const bundle = readBundle(trustDomainOf(svid.spiffeId), message.bundle);
      bundles.set(bundle.trustDomain, bundle);
      return svid;
    } catch (error) {
      throw malformed(`svids[${index}]`, error);
    }
  });
  if (first === undefined) throw malformed('svids', 'is empty');
  return { svids: [first, ...withUniqueHints(first, rest)], bundles };
}

/** @throws BonafideError `internal` naming the field. */
export function readX509Bundles(response: X509BundlesResponse__Output): X509Bundles {
  const bundles = Object.entries(response.bundles).map(([id, der]) => readBundle(id, der));
  if (bundles.length === 0) throw malformed('bundles', 'is empty');
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
}

function readSvid(message: X509SVID__Output): X509Svid {
  const certificateChain = splitCertificates(message.x509Svid, 'x509_svid');
  const [leafDer = Buffer.alloc(0)] = certificateChain;
  const { spiffeId, leaf } = parseX509SvidLeaf(leafDer);
  if (spiffeId !== message.spiffeId) {
    throw malformed(
      'spiffe_id',
      `is ${JSON.stringify(message.spiffeId)}, but the certificate is of ${spiffeId}`,
    );
  }
  const privateKey = importPkcs8(message.x509SvidKey);
  if (!createPublicKey(privateKey).equals(leaf.publicKey)) {
    throw malformed('x509_svid_key', 'does not belong to the certificate');
  }
  const { notBefore, notAfter } = leaf;
  const hint = message.hint === '' ? undefined : message.hint;
  return { spiffeId, certificateChain, privateKey, notBefore, notAfter, hint };
}

function readBundle(id: string, der: Buffer): X509Bundle {
  try {
    const x509Authorities = splitCertificates(der, 'bundle');
    for (const authority of x509Authorities) parseX509Certificate(authority);
    return { trustDomain: parseTrustDomainOrId(id), x509Authorities };
  } catch (error) {
    throw malformed(`bundle of ${JSON.stringify(id)}`, error);
  }
}

/** Section 5.2.1: of several with one hint, the first. */
function withUniqueHints(first: X509Svid, rest: readonly X509Svid[]): readonly X509Svid[] {
  const seen = new Set([first.hint]);
  return rest.filter(({ hint }) => {
    if (hint === undefined) return true;
    if (seen.has(hint)) return false;
    seen.add(hint);
    return true;
  });
}

function malformed(field: string, problem: unknown): BonafideError {
  const text = typeof problem === 'string' ? problem : `is malformed: ${errorMessage(problem)}`;
  return new BonafideError('internal', `the Workload API's answer cannot be used: ${field} ${text}`, {
    cause: problem,
  });
}
