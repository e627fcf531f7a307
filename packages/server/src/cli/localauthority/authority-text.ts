/** A signing authority in the lines that SPIRE prints. */
import type { AuthorityState__Output } from '@bonafide/shared/rpc/gen/spire/api/server/localauthority/v1/AuthorityState';
import { printedTime } from '../printed-words.js';
import type { AuthorityKind } from './authority-calls.js';

export function authorityText(kind: AuthorityKind, authority: AuthorityState__Output): string {
  const { authorityId, expiresAt, upstreamAuthoritySubjectKeyId: upstream } = authority;
  const lines = [`  Authority ID: ${authorityId}\n`];
  if (expiresAt !== 0) lines.push(`  Expires at: ${printedTime(expiresAt)}\n`);
  if (kind === 'x509') {
    lines.push(
      upstream === ''
        ? '  Upstream authority ID: No upstream authority\n'
        : `  Upstream authority Subject Key ID: ${upstream}\n`,
    );
  }
  return lines.join('');
}
