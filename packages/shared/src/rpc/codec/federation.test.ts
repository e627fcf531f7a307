import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBundleEndpointUrl } from '../../bundle/federation-relationship.js';
import { BonafideError } from '../../errors/bonafide-error.js';
import type { FederationRelationship__Output } from '../gen/spire/api/types/FederationRelationship.js';
import {
  federationRelationshipFromProto,
  federationRelationshipToProto,
  federationUpdateFromProto,
} from './federation.js';

const PROTO: FederationRelationship__Output = {
  trustDomain: 'other.test',
  bundleEndpointUrl: 'https://other.test:8443/bundle?x=1',
  bundleEndpointProfile: 'httpsSpiffe',
  httpsSpiffe: { endpointSpiffeId: 'spiffe://other.test/spire/server' },
  trustDomainBundle: null,
};
const NOTHING = { bundleEndpointUrl: false, bundleEndpointProfile: false, trustDomainBundle: false };

function bundleOf(trustDomain: string): NonNullable<FederationRelationship__Output['trustDomainBundle']> {
  return {
    trustDomain,
    x509Authorities: [],
    jwtAuthorities: [],
    witAuthorities: [],
    refreshHint: 0,
    sequenceNumber: 3,
  };
}

describe('a federation relationship on the wire', () => {
  it('is the same there and back', () => {
    const { relationship, bundle } = federationRelationshipFromProto(PROTO);
    expect(bundle).toBeUndefined();
    expect(federationRelationshipToProto(relationship, undefined)).toEqual({
      trustDomain: PROTO.trustDomain,
      bundleEndpointUrl: PROTO.bundleEndpointUrl,
      bundleEndpointProfile: 'httpsSpiffe',
      httpsSpiffe: PROTO.httpsSpiffe,
    });
    const web = { ...PROTO, httpsSpiffe: null, httpsWeb: {} };
    expect(federationRelationshipFromProto(web).relationship.endpoint.profile).toEqual({ kind: 'https_web' });
  });

  it('shows what the mask names, and the trust domain always', () => {
    const { relationship } = federationRelationshipFromProto(PROTO);
    expect(federationRelationshipToProto(relationship, undefined, NOTHING)).toEqual({
      trustDomain: 'other.test',
    });
  });

  it('updates only what the mask names, and asks for nothing else', () => {
    const update = federationUpdateFromProto({ ...PROTO, bundleEndpointUrl: '' }, NOTHING);
    expect(update).toEqual({ trustDomain: 'other.test', endpoint: {}, bundle: undefined });
  });

  it('carries a bundle of its own trust domain only', () => {
    const own = federationRelationshipFromProto({ ...PROTO, trustDomainBundle: bundleOf('other.test') });
    expect(own.bundle?.sequenceNumber).toBe(3);
    expect(() =>
      federationRelationshipFromProto({ ...PROTO, trustDomainBundle: bundleOf('third.test') }),
    ).toThrow(
      'trust domain bundle ("third.test") must match the trust domain of the federation relationship ("other.test")',
    );
  });

  it.each<[Partial<FederationRelationship__Output>, RegExp]>([
    [{ trustDomain: '' }, /failed to parse trust domain/],
    [{ trustDomain: 'Other' }, /failed to parse trust domain/],
    [{ bundleEndpointUrl: '' }, /failed to parse bundle endpoint URL/],
    [{ httpsSpiffe: null }, /unsupported bundle endpoint profile type/],
    [{ httpsSpiffe: { endpointSpiffeId: 'other.test' } }, /failed to parse endpoint SPIFFE ID/],
  ])('is refused with %j', (changes, message) => {
    expect(() => federationRelationshipFromProto({ ...PROTO, ...changes })).toThrow(message);
  });
});

// SPIFFE Federation sections 5.2.1.1 and 5.2.2.1
describe('a bundle endpoint URL', () => {
  it.each(['https://a', 'https://a:8443', 'https://1.2.3.4/x/y?z#f', 'https://[::1]:1/', 'HTTPS://a/'])(
    'may be %s',
    (url) => {
      expect(parseBundleEndpointUrl(url)).toBe(url);
    },
  );

  it.each([
    ['http://a', 'must use the https scheme'],
    ['spiffe://a', 'must use the https scheme'],
    ['https://', 'failed to parse'],
    ['https:a', 'must specify the host'],
    ['https:///a', 'must specify the host'],
    ['https://user@a', 'must not contain user info'],
    ['https://@a', 'must not contain user info'],
    ['https://:@a', 'must not contain user info'],
    ['https://user:secret@a', 'must not contain user info'],
    ['https://a b', 'only printable ASCII'],
    ['https://a\n', 'only printable ASCII'],
    ['https://ä', 'only printable ASCII'],
    ['https://a:99999', 'failed to parse'],
    [`https://${'a'.repeat(2048)}`, 'longer than 2048'],
    ['a', 'failed to parse'],
  ])('is refused: %j', (url, message) => {
    expect(() => parseBundleEndpointUrl(url)).toThrow(message);
  });

  it('is https with a host and without user info, or refused, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webUrl({ withQueryParameters: true }),
          fc.string(),
          fc.string().map((x) => `https://${x}`),
        ),
        (text) => {
          try {
            const url = new URL(parseBundleEndpointUrl(text));
            expect(url.protocol).toBe('https:');
            expect(url.hostname).not.toBe('');
            expect(url.username + url.password).toBe('');
          } catch (error) {
            expect(error).toBeInstanceOf(BonafideError);
          }
        },
      ),
    );
  });
});
