/** The token in the header Authorization (RFC 6750 section 2.1), of HTTP or of gRPC's metadata. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** @throws BonafideError `unauthenticated` for anything but one Bearer token. */
export function bearerToken(lines: readonly string[]): string {
  const [line = '', another] = lines;
  const [, token] = /^Bearer +([A-Za-z0-9_.~+/=-]+) *$/i.exec(line) ?? [];
  if (token === undefined || another !== undefined) {
    throw new BonafideError('unauthenticated', 'the header Authorization is not one Bearer token');
  }
  return token;
}
