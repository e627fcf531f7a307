/** The certificates of a program as `debug getinfo` of server and agent prints them. */
import type { SPIFFEID__Output } from '../rpc/gen/spire/api/types/SPIFFEID.js';
import { rfc3339 } from './rfc3339.js';

interface ChainCertificate {
  readonly id: SPIFFEID__Output | null;
  readonly subject: string;
  readonly expiresAt: number;
}

export function svidChainLines(chain: readonly ChainCertificate[]): readonly string[] {
  if (chain.length === 0) return [];
  return [
    '  SVID Chain:',
    ...chain.flatMap(({ expiresAt, id, subject }, index) => [
      `    [${index}] SPIFFE ID:  ${id === null ? '(none)' : `spiffe://${id.trustDomain}${id.path}`}`,
      `        Subject:    ${subject}`,
      `        Expires At: ${rfc3339(expiresAt)}`,
    ]),
  ];
}
