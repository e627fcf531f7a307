/** Whether to believe a TLS peer: its chain against the bundle of the trust domain it claims, and of no other, then the authorizer. */
import type { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { MAX_CHAIN_LENGTH } from '@bonafide/shared/crypto/certificate-path';
import { parseX509SvidLeaf, verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509Bundles } from '../workload-api/x509-context.js';
import type { Authorizer } from './authorizer.js';

interface PeerEvidence {
  /** DER, leaf first, as the peer sent it; TLS has proved that the peer has the leaf's key. */
  readonly chain: readonly Buffer[];
  readonly bundles: X509Bundles;
  readonly authorizer: Authorizer;
}

/**
 * Synchronous, so that no byte passes while it is undecided.
 * @throws BonafideError `unauthenticated` when the peer is not who it says it is; `permission_denied` when it is, but not authorized.
 */
export function verifyPeer({ chain, bundles, authorizer }: PeerEvidence): SpiffeId {
  const spiffeId = authenticate(chain, bundles);
  // Compared with true, for a matcher written in JavaScript may return anything.
  const isAllowed: unknown = authorizer.allows(spiffeId);
  if (isAllowed === true) return spiffeId;
  throw new BonafideError('permission_denied', `the peer is ${spiffeId}; expected ${authorizer.expected}`);
}

function authenticate(chain: readonly Buffer[], bundles: X509Bundles): SpiffeId {
  const [leafDer] = chain;
  if (leafDer === undefined) throw new BonafideError('unauthenticated', 'the peer presented no certificate');
  try {
    const { spiffeId } = parseX509SvidLeaf(leafDer);
    const trustDomain = trustDomainOf(spiffeId);
    const bundle = bundles.get(trustDomain);
    // SPIFFE Workload API section 4.6: without a bundle of its own trust domain, a peer is not trusted.
    if (bundle === undefined) {
      throw new BonafideError(
        'unauthenticated',
        `there is no bundle for trust domain ${trustDomain}, of ${spiffeId}`,
      );
    }
    verifyX509Svid({ chain, authorities: bundle.x509Authorities, now: systemClock.now(), trustDomain });
    return spiffeId;
  } catch (error) {
    const message = `the peer's X.509-SVID is refused: ${errorMessage(error)}`;
    throw new BonafideError('unauthenticated', message, { cause: error });
  }
}

/** The chain of a finished handshake, from Node's linked certificates. */
export function presentedChain(leaf: X509Certificate | undefined): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (
    let next = leaf;
    next !== undefined && chain.length <= MAX_CHAIN_LENGTH;
    next = next.issuerCertificate
  ) {
    chain.push(next.raw);
  }
  return chain;
}

/** As `presentedChain`, from the objects that `checkServerIdentity` is given; a root signs itself, and so ends the list. */
export function presentedLegacyChain(leaf: PeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let next: PeerCertificate | undefined = leaf;
  // An absent certificate is an empty object here.
  while (next?.raw instanceof Buffer && chain.length <= MAX_CHAIN_LENGTH) {
    chain.push(next.raw);
    next = issuerOf(next);
  }
  return chain;
}

function issuerOf(certificate: PeerCertificate): PeerCertificate | undefined {
  if (!('issuerCertificate' in certificate)) return undefined;
  const issuer = certificate.issuerCertificate as PeerCertificate | undefined;
  return issuer === certificate ? undefined : issuer;
}
