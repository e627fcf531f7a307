/** When a JWT-SVID ends that the agent has verified: only to know when to ask for the next. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { dateFromUnixSeconds } from '@bonafide/shared/runtime/clock';

/** @throws BonafideError `internal` for what is no token. */
export function peekTokenExpiry(token: string): Date {
  try {
    const [, payload = ''] = token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as {
      readonly exp?: unknown;
    };
    if (typeof claims.exp === 'number' && Number.isFinite(claims.exp)) return dateFromUnixSeconds(claims.exp);
  } catch {
    // told below what it is not
  }
  throw new BonafideError('internal', 'the agent gave a JWT-SVID without an end');
}
