/** Trust bundles on the wire. */
import { invalidArgument } from '../../errors/bonafide-error.js';
import type { TokenAuthority, TrustBundle, X509Authority } from '../../bundle/trust-bundle.js';
import { unixSeconds } from '../../runtime/clock.js';
import { parseTrustDomainOrId, type TrustDomain } from '../../spiffe-id/trust-domain.js';
import type { Bundle, Bundle__Output } from '../gen/spire/api/types/Bundle.js';
import type { JWTKey, JWTKey__Output } from '../gen/spire/api/types/JWTKey.js';
import type { X509Certificate, X509Certificate__Output } from '../gen/spire/api/types/X509Certificate.js';
import { bundleMaskFromProto, type BundleMask } from './bundle-mask.js';
import {
  bytesFromProto,
  countFromProto,
  dateFromProto,
  inField,
  listFromProto,
  secondsFromProto,
  textFromProto,
} from './field.js';
import { MAX_AUTHORITIES, MAX_CERTIFICATE_BYTES, MAX_KEY_ID_BYTES, MAX_PUBLIC_KEY_BYTES } from './limits.js';

/** The certificates and keys are bytes here; who uses them parses them. @throws BonafideError `invalid_argument`. */
export function bundleFromProto(bundle: Bundle__Output): TrustBundle {
  return {
    trustDomain: bundleNameFromProto(bundle),
    x509Authorities: x509AuthoritiesFromProto(bundle.x509Authorities),
    jwtAuthorities: tokenAuthoritiesFromProto(bundle.jwtAuthorities, 'jwt_authorities'),
    witAuthorities: tokenAuthoritiesFromProto(bundle.witAuthorities, 'wit_authorities'),
    refreshHintSeconds: secondsFromProto('refresh_hint', bundle.refreshHint),
    sequenceNumber: countFromProto('sequence_number', bundle.sequenceNumber),
  };
}

interface BundleUpdate {
  readonly trustDomain: TrustDomain;
  /** Only what is to be written. */
  readonly content: Partial<Omit<TrustBundle, 'trustDomain'>>;
}

/** The masked fields, of which none needs the others. @throws BonafideError `invalid_argument`. */
export function bundleUpdateFromProto(bundle: Bundle__Output, mask: BundleMask): BundleUpdate {
  return {
    trustDomain: bundleNameFromProto(bundle),
    content: {
      ...(mask.x509Authorities && { x509Authorities: x509AuthoritiesFromProto(bundle.x509Authorities) }),
      ...(mask.jwtAuthorities && {
        jwtAuthorities: tokenAuthoritiesFromProto(bundle.jwtAuthorities, 'jwt_authorities'),
      }),
      ...(mask.witAuthorities && {
        witAuthorities: tokenAuthoritiesFromProto(bundle.witAuthorities, 'wit_authorities'),
      }),
      ...(mask.refreshHint && { refreshHintSeconds: secondsFromProto('refresh_hint', bundle.refreshHint) }),
      ...(mask.sequenceNumber && {
        sequenceNumber: countFromProto('sequence_number', bundle.sequenceNumber),
      }),
    },
  };
}

/** @param mask every field when absent; the trust domain is always there. */
export function bundleToProto(bundle: TrustBundle, mask: BundleMask | null = null): Bundle {
  const shows = bundleMaskFromProto(mask);
  return {
    trustDomain: bundle.trustDomain,
    ...(shows.x509Authorities && { x509Authorities: bundle.x509Authorities.map(x509AuthorityToProto) }),
    ...(shows.jwtAuthorities && { jwtAuthorities: bundle.jwtAuthorities.map(tokenAuthorityToProto) }),
    ...(shows.witAuthorities && { witAuthorities: bundle.witAuthorities.map(tokenAuthorityToProto) }),
    ...(shows.refreshHint && { refreshHint: bundle.refreshHintSeconds ?? 0 }),
    ...(shows.sequenceNumber && { sequenceNumber: bundle.sequenceNumber }),
  };
}

/** @throws BonafideError `invalid_argument`. */
export function x509AuthoritiesFromProto(
  authorities: readonly X509Certificate__Output[],
  field = 'x509_authorities',
): readonly X509Authority[] {
  return listFromProto(field, authorities, MAX_AUTHORITIES, ({ asn1, tainted }) => ({
    certificate: bytesFromProto('asn1', asn1, MAX_CERTIFICATE_BYTES),
    isTainted: tainted,
  }));
}

/** JWT and WIT keys look alike on the wire. @throws BonafideError `invalid_argument`. */
export function tokenAuthoritiesFromProto(
  authorities: readonly JWTKey__Output[],
  field: string,
): readonly TokenAuthority[] {
  return listFromProto(field, authorities, MAX_AUTHORITIES, (key) => {
    if (key.keyId === '') throw invalidArgument('key_id: is empty');
    return {
      publicKey: bytesFromProto('public_key', key.publicKey, MAX_PUBLIC_KEY_BYTES),
      keyId: textFromProto('key_id', key.keyId, MAX_KEY_ID_BYTES),
      expiresAt: dateFromProto('expires_at', key.expiresAt),
      isTainted: key.tainted,
    };
  });
}

function x509AuthorityToProto({ certificate, isTainted }: X509Authority): X509Certificate {
  return { asn1: certificate, tainted: isTainted };
}

export function tokenAuthorityToProto({ publicKey, keyId, expiresAt, isTainted }: TokenAuthority): JWTKey {
  return {
    publicKey,
    keyId,
    expiresAt: expiresAt === undefined ? 0 : unixSeconds(expiresAt),
    tainted: isTainted,
  };
}

function bundleNameFromProto({ trustDomain }: Bundle__Output): TrustDomain {
  return inField('trust_domain', () => parseTrustDomainOrId(trustDomain));
}
