/** From the Workload API's messages to an X509Context; a message with a field missing or malformed is refused whole (section 4.5). */
import { splitCertificates } from '@bonafide/shared/crypto/certificate-sequence';
import { importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { X509BundlesResponse__Output } from '@bonafide/shared/rpc/gen/X509BundlesResponse';
import type { X509SVID__Output } from '@bonafide/shared/rpc/gen/X509SVID';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import { trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createPublicKey } from 'node:crypto';
import { malformedAnswer } from './malformed-answer.js';
import { withUniqueHints } from './unique-hints.js';
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
      throw malformedAnswer(`svids[${index}]`, error);
    }
  });
  if (first === undefined) throw malformedAnswer('svids', 'is empty');
  return { svids: [first, ...withUniqueHints(first, rest)], bundles };
}

/** @throws BonafideError `internal` naming the field. */
export function readX509Bundles(response: X509BundlesResponse__Output): X509Bundles {
  const bundles = Object.entries(response.bundles).map(([id, der]) => readBundle(id, der));
  if (bundles.length === 0) throw malformedAnswer('bundles', 'is empty');
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
}

function readSvid(message: X509SVID__Output): X509Svid {
  const certificateChain = splitCertificates(message.x509Svid, 'x509_svid');
  const [leafDer = Buffer.alloc(0)] = certificateChain;
  const { spiffeId, leaf } = parseX509SvidLeaf(leafDer);
  if (spiffeId !== message.spiffeId) {
    throw malformedAnswer(
      'spiffe_id',
      `is ${JSON.stringify(message.spiffeId)}, but the certificate is of ${spiffeId}`,
    );
  }
  const privateKey = importPkcs8(message.x509SvidKey);
  if (!createPublicKey(privateKey).equals(leaf.publicKey)) {
    throw malformedAnswer('x509_svid_key', 'does not belong to the certificate');
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
    throw malformedAnswer(`bundle of ${JSON.stringify(id)}`, error);
  }
}
