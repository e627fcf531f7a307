/** What a client is answered whose request is refused: a status, and nothing that would help it to guess. */
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { RequestAuthentication } from './authenticate-request.js';

interface RequestRefusal {
  readonly status: 401 | 403 | 500 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** For the log. */
  readonly error: BonafideError;
}

const TEXTS = {
  401: 'not authenticated',
  403: 'not authorized',
  500: 'cannot tell who asks',
  503: 'cannot tell who asks at the moment',
} as const;

export function requestRefusal(caught: unknown, options: RequestAuthentication): RequestRefusal {
  const error =
    caught instanceof BonafideError
      ? caught
      : new BonafideError('internal', errorMessage(caught), { cause: caught });
  const status = statusOf(error, options);
  const challenge = status === 401 ? { 'www-authenticate': 'Bearer' } : {};
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...challenge },
    text: TEXTS[status],
    error,
  };
}

/** RFC 9110 section 15.5.2: 401 asks for the header Authorization, so it is said only where one would do. */
function statusOf(error: BonafideError, { jwt }: RequestAuthentication): RequestRefusal['status'] {
  if (hasReason(error, 'invalid_argument', 'unauthenticated')) return jwt === undefined ? 403 : 401;
  if (hasReason(error, 'permission_denied')) return 403;
  return hasReason(error, 'unavailable', 'resource_exhausted') ? 503 : 500;
}
