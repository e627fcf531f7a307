/** The tokens of a request that a Workload Proof Token must be bound to (draft-ietf-wimse-wpt-01 section 2: ath, tth, oth). */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { FieldLines } from '../http-signature/http-message.js';
import type { BoundTokens } from '../wit/create-workload-proof-token.js';
import { TRANSACTION_TOKEN_HEADER } from '../wit/headers.js';

/** RFC 6750 section 2.1 and RFC 9449 section 7.1: the schemes of OAuth access tokens. */
const ACCESS_TOKEN = /^(?:Bearer|DPoP) +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * @param otherHeaders further headers that carry tokens; those that are not there are passed over.
 * @throws BonafideError `invalid_argument` for one that comes twice.
 */
export function boundTokens(fields: FieldLines, otherHeaders: readonly string[]): BoundTokens {
  const authorization = only(fields, 'authorization');
  const accessToken = ACCESS_TOKEN.exec(authorization ?? '')?.[1];
  const names = new Set(otherHeaders.map((name) => name.toLowerCase()));
  // Credentials of another scheme are a token of another kind.
  if (authorization !== undefined && accessToken === undefined) names.add('authorization');
  const otherTokens = [...names].flatMap((name) => {
    const value = only(fields, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    accessToken,
    transactionToken: only(fields, TRANSACTION_TOKEN_HEADER),
    otherTokens: Object.fromEntries(otherTokens),
  };
}

/** @throws BonafideError `invalid_argument` when there is more than one line. */
export function only(fields: FieldLines, name: string): string | undefined {
  const lines = fields(name) ?? [];
  if (lines.length > 1) throw invalidArgument(`the message has the header ${name.slice(0, 100)} twice`);
  return lines[0];
}
