/** Entries, bundles and SVIDs for the tests of this room. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';

export const TRUST_DOMAIN = parseTrustDomain('example.org');

const { privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });

export function sampleEntry(
  id: string,
  selectors: readonly string[],
  more: Partial<RegistrationEntry> = {},
): RegistrationEntry {
  return {
    id,
    spiffeId: parseSpiffeId(`spiffe://example.org/${id}`),
    parentId: parseSpiffeId('spiffe://example.org/spire/agent/join_token/t'),
    selectors: selectors.map(parseSelector),
    x509SvidTtlSeconds: undefined,
    jwtSvidTtlSeconds: undefined,
    federatesWith: [],
    isAdmin: false,
    isDownstream: false,
    expiresAt: undefined,
    dnsNames: [],
    storesSvid: false,
    hint: undefined,
    disablesX509SvidPrefetch: false,
    includesJwtSvidJti: false,
    revisionNumber: 0,
    createdAt: new Date('2030-01-01T00:00:00Z'),
    ...more,
  };
}

export function sampleBundle(trustDomain: string, sequenceNumber = 1): TrustBundle {
  return {
    trustDomain: parseTrustDomain(trustDomain),
    x509Authorities: [{ certificate: Buffer.from(`authority ${sequenceNumber}`), isTainted: false }],
    jwtAuthorities: [],
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber,
  };
}

/** Not a certificate that anyone could parse: the cache does not look into it. */
export function sampleSvid(entry: RegistrationEntry, notAfter = new Date('2040-01-01T00:00:00Z')): X509Svid {
  return {
    spiffeId: entry.spiffeId,
    certificateChain: [Buffer.from(`certificate of ${entry.id}`)],
    privateKey,
    notBefore: new Date('2030-01-01T00:00:00Z'),
    notAfter,
    hint: undefined,
  };
}
