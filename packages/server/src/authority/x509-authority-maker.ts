/** Makes the authorities that sign X.509-SVIDs: self-signed, or signed by an upstream authority (X509-SVID section 3). */
import type { DistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509AuthorityRecord } from '../store/authority-record.js';
import { revokeX509Authority, taintX509Authority } from '../trust-bundle/withdraw-authority.js';
import type { AuthorityMaker, AuthorityRequest, MadeAuthority } from './authority-maker.js';

export interface X509AuthorityMakerOptions {
  readonly trustDomain: TrustDomain;
  readonly keyType: KeyType;
  readonly subject: DistinguishedName | undefined;
}

export function createX509AuthorityMaker({
  trustDomain,
  keyType,
  subject,
}: X509AuthorityMakerOptions): AuthorityMaker<X509AuthorityRecord> {
  async function makeSelfSigned(request: AuthorityRequest): Promise<MadeAuthority<X509AuthorityRecord>> {
    const { keyId, signer, notBefore, notAfter } = request;
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

  return {
    kind: 'x509',
    words: 'X.509 authority',
    keyIdPrefix: 'x509-ca-',
    keyType,
    owns: (record) => record.kind === 'x509',
    make: (request) => makeSelfSigned(request),
    taint: taintX509Authority,
    revoke: revokeX509Authority,
  };
}
