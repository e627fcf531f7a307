/** Makes the authorities that sign X.509-SVIDs: self-signed, or signed by an upstream authority (X509-SVID section 3). */
import { anchorsOf } from '@bonafide/shared/crypto/anchors-of';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import type { DistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import type { X509AuthorityRecord } from '../store/authority-record.js';
import type { Store } from '../store/store.js';
import { revokeX509Authority, taintX509Authority } from '../trust-bundle/withdraw-authority.js';
import type { AuthorityMaker, AuthorityRequest, MadeAuthority } from './authority-maker.js';
import { anchorId, isAnchorRevoked } from './upstream/trust-anchor.js';
import type { UpstreamAuthority } from './upstream/upstream-authority.js';

export interface X509AuthorityMakerOptions {
  readonly trustDomain: TrustDomain;
  readonly keyType: KeyType;
  /** Of a self-signed authority; an upstream authority names ours itself. */
  readonly subject: DistinguishedName | undefined;
  readonly ttlSeconds: number;
  readonly store: Store;
  readonly upstream: UpstreamAuthority | undefined;
}

export function createX509AuthorityMaker(
  options: X509AuthorityMakerOptions,
): AuthorityMaker<X509AuthorityRecord> {
  const { trustDomain, keyType, subject, ttlSeconds, store, upstream } = options;

  async function makeSelfSigned(request: AuthorityRequest): Promise<MadeAuthority<X509AuthorityRecord>> {
    const { keyId, serverId, signer, notBefore, notAfter } = request;
    const certificate = await createSelfSignedAuthority({
      trustDomain,
      signer,
      notBefore,
      notAfter,
      subject,
    });
    const record = {
      kind: 'x509',
      authorityId: parseX509Certificate(certificate).subjectKeyId ?? request.name,
      serverId,
      slot: 'prepared',
      keyId,
      certificateChain: [certificate],
      upstreamAuthorityId: undefined,
      notBefore,
      notAfter,
      isTainted: false,
    } as const;
    return { record, additions: { x509Authorities: [{ certificate, isTainted: false }] } };
  }

  async function mintUpstream(
    { keyId, serverId, signer, name }: AuthorityRequest,
    above: UpstreamAuthority,
    signal: AbortSignal,
  ): Promise<MadeAuthority<X509AuthorityRecord>> {
    const csr = await createCertificateSigningRequest(signer, { uriNames: [trustDomainId(trustDomain)] });
    const minted = await above.mintX509Authority({ csr, preferredTtlSeconds: ttlSeconds }, signal);
    const { certificateChain, upstreamRoots } = minted;
    const [anchor, ...sameKey] = anchorsOf(certificateChain, upstreamRoots);
    if (anchor === undefined) {
      throw new BonafideError(
        'failed_precondition',
        'the upstream authority signed a certificate that leads to none of its own roots',
      );
    }
    const upstreamAuthorityId = anchorId(anchor);
    const revoked = new Set(await store.authorities.listRevoked());
    if (revoked.has(upstreamAuthorityId)) throw withdrawn(upstreamAuthorityId, 'revoked');
    if (anchor.isTainted) throw withdrawn(upstreamAuthorityId, 'tainted');
    const chain = certificateChain.map((der) => parseX509Certificate(der));
    const [authority] = chain;
    const record = {
      kind: 'x509',
      authorityId: authority?.subjectKeyId ?? name,
      serverId,
      slot: 'prepared',
      keyId,
      certificateChain,
      upstreamAuthorityId,
      // What it signs is believed only while the whole chain above it is.
      notBefore: latest(chain.map(({ notBefore }) => notBefore)),
      notAfter: earliest([...chain.map(({ notAfter }) => notAfter), lastEnd([anchor, ...sameKey])]),
      isTainted: false,
    } as const;
    const x509Authorities = upstreamRoots.filter((root) => !isAnchorRevoked(root, revoked));
    return { record, additions: { x509Authorities } };
  }

  return {
    kind: 'x509',
    words: 'X.509 authority',
    keyIdPrefix: 'x509-ca-',
    keyType,
    owns: (record) => record.kind === 'x509',
    make: (request, signal) =>
      upstream === undefined ? makeSelfSigned(request) : mintUpstream(request, upstream, signal),
    additionsOf: ({ certificateChain: [certificate], upstreamAuthorityId, isTainted }) =>
      certificate === undefined || upstreamAuthorityId !== undefined
        ? {}
        : { x509Authorities: [{ certificate, isTainted }] },
    isWithdrawn: (bundle, { authorityId, upstreamAuthorityId = authorityId }) =>
      bundle.x509Authorities.some(
        (authority) => authority.isTainted && anchorId(authority) === upstreamAuthorityId,
      ),
    taint: taintX509Authority,
    revoke: revokeX509Authority,
  };
}

/** What would be signed under it is to be replaced, or is believed by nobody. */
function withdrawn(upstreamAuthorityId: string, how: 'tainted' | 'revoked'): BonafideError {
  return new BonafideError(
    'failed_precondition',
    `the upstream authority still signs under ${upstreamAuthorityId}, which was ${how}; have it sign under another root`,
  );
}

function lastEnd(anchors: readonly X509Authority[]): Date {
  return latest(anchors.map(({ certificate }) => parseX509Certificate(certificate).notAfter));
}

function latest(dates: readonly Date[]): Date {
  return new Date(Math.max(...dates.map((date) => date.getTime())));
}

function earliest(dates: readonly Date[]): Date {
  return new Date(Math.min(...dates.map((date) => date.getTime())));
}
