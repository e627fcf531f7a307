/** How a cluster's API server is reached and by what it knows us. */
import { invalidArgument } from '../errors/bonafide-error.js';
import type { HttpTls } from '../http/send-request.js';

export interface ClusterAccess {
  readonly server: URL;
  readonly tls: HttpTls;
  readonly bearerToken: string | undefined;
}

/** RFC 6750 section 2.1. @throws BonafideError `invalid_argument`; the message never quotes it. */
export function parseBearerToken(text: string): string {
  const token = text.trim();
  if (/^[A-Za-z0-9._~+/-]+=*$/.test(token)) return token;
  throw invalidArgument('the token by which the API server knows us is no bearer token');
}

/** @throws BonafideError `invalid_argument`. */
export function parseServer(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:') {
    throw invalidArgument(
      `the server ${JSON.stringify(text)} is no https URL; what it says must be authentic`,
    );
  }
  if (url.username !== '' || url.password !== '')
    throw invalidArgument('the URL of the server has a password');
  return url;
}
