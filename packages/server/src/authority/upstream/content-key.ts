/** Whether what an upstream authority has us publish has changed, so that nobody is woken for nothing. */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import type { UpstreamContent } from './upstream-authority.js';

/** Equal for contents that say the same, whatever the order. */
export function contentKey({ x509Roots, jwtAuthorities, witAuthorities }: UpstreamContent): string {
  return JSON.stringify([
    x509Roots.map(({ certificate, isTainted }) => `${certificate.toString('base64')} ${isTainted}`).sort(),
    jwtAuthorities?.map(tokenKey).sort(),
    witAuthorities?.map(tokenKey).sort(),
  ]);
}

function tokenKey({ keyId, publicKey, expiresAt, isTainted }: TokenAuthority): string {
  return JSON.stringify([keyId, publicKey.toString('base64'), expiresAt?.getTime(), isTainted]);
}
