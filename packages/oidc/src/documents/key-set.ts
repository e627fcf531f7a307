/** The JWK Set (RFC 7517 section 5) by which JWT-SVIDs are verified: every key of the bundle until it is taken out, tainted ones too. */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { spkiToJwk, type PublicJwk } from '@bonafide/shared/crypto/json-web-key';

export function formatKeySet(keys: readonly TokenAuthority[], setKeyUse: boolean): string {
  const jwks = keys.map(({ publicKey, keyId }) => {
    const { kty, ...members } = spkiToJwk(publicKey);
    const jwk = { kty, ...members } as PublicJwk;
    return { ...(setKeyUse ? { use: 'sig' } : {}), kty, kid: keyId, alg: algorithmOf(jwk), ...members };
  });
  return `${JSON.stringify({ keys: jwks }, undefined, 2)}\n`;
}

function algorithmOf(jwk: PublicJwk): string {
  if (jwk.kty === 'RSA') return 'RS256';
  return { 'P-256': 'ES256', 'P-384': 'ES384' }[jwk.crv] ?? 'ES512';
}
