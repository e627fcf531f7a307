/** The forms in which a bundle is published: the SPIFFE document, PEM for X.509 alone, a plain JWK Set for JWT alone. */
import { formatBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { formatBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { spkiToJwk } from '@bonafide/shared/crypto/json-web-key';
import { z } from 'zod';

export const publishedFormatSchema = z.enum(['spiffe', 'pem', 'jwks']);
export type PublishedFormat = z.output<typeof publishedFormatSchema>;

export function formatPublishedBundle(bundle: TrustBundle, format: PublishedFormat): string {
  switch (format) {
    case 'spiffe':
      return formatBundleDocument(bundle);
    case 'pem':
      return formatBundlePem(bundle);
    case 'jwks': {
      const keys = bundle.jwtAuthorities.map(({ publicKey, keyId }) => ({
        ...spkiToJwk(publicKey),
        kid: keyId,
      }));
      return `${JSON.stringify({ keys }, undefined, 2)}\n`;
    }
  }
}

export function contentTypeOf(format: PublishedFormat): string {
  return format === 'pem' ? 'application/x-pem-file' : 'application/json';
}
