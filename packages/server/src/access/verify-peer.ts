/** Decides whether a client certificate names somebody: its chain must lead to the bundle of a trust domain we listen to. */
import { createHash } from 'node:crypto';
import { parseX509SvidLeaf, verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { PeerSvid } from './peer.js';

export interface PeerVerification {
  readonly trustDomain: TrustDomain;
  /** Only these are listened to from other trust domains. */
  readonly mayBeAdmin: (spiffeId: SpiffeId) => boolean;
  readonly bundle: (trustDomain: TrustDomain) => TrustBundle | undefined;
}

/**
 * @param chain DER, leaf first, as the client sent it.
 * @throws BonafideError `invalid_argument` or `permission_denied` with the reason.
 */
export function verifyPeer(chain: readonly Buffer[], now: Date, verification: PeerVerification): PeerSvid {
  const [certificate] = chain;
  if (certificate === undefined)
    throw new BonafideError('invalid_argument', 'the certificate chain is empty');
  // Not verified yet: it only chooses the bundle that must then vouch for it.
  const claimed = parseX509SvidLeaf(certificate).spiffeId;
  const claimedDomain = trustDomainOf(claimed);
  if (claimedDomain !== verification.trustDomain && !verification.mayBeAdmin(claimed)) {
    throw new BonafideError(
      'permission_denied',
      `${claimed} is neither of trust domain ${verification.trustDomain} nor one of admin_ids or a member of a role`,
    );
  }
  const bundle = verification.bundle(claimedDomain);
  if (bundle === undefined) {
    throw new BonafideError(
      'permission_denied',
      `no bundle of trust domain ${claimedDomain} is held; federate with it first`,
    );
  }
  const { spiffeId, leaf } = verifyX509Svid({
    chain,
    authorities: bundle.x509Authorities.map((authority) => authority.certificate),
    now,
    trustDomain: claimedDomain,
  });
  const certificateHash = createHash('sha256').update(certificate).digest();
  return { spiffeId, serialNumber: leaf.serialNumber, notAfter: leaf.notAfter, certificateHash };
}
