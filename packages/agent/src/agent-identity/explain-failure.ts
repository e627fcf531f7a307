/** Turns a failure to reach or to satisfy the server into advice for the operator. */
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { formatServerAddress, type ServerAddress } from './server-address.js';

/** What OpenSSL, Node.js and our own check say when the server's certificate is at fault, wrapped by gRPC into `unavailable`. */
const DISTRUST = /certificate|self.signed|unable to (?:get|verify)|the server is spiffe:|spiffe id/i;

/** What is said of a certificate that leads to no authority of the bundle, whoever is at fault. */
const UNKNOWN_AUTHORITY =
  /self.signed certificate|unable to get (?:local )?issuer certificate|unable to verify the first certificate|certificate signature failure/i;

/** What gRPC says when no server has answered. */
const UNREACHABLE =
  /No connection established|Name resolution failed|Connection dropped|E(?:CONN|HOST|NET|TIMEDOUT|NOTFOUND|AI_|PIPE|ADDR)/;

export interface FailureContext {
  /** Of the server that was tried. */
  readonly address: ServerAddress;
  /** Where the bundle came from, for example a path. */
  readonly bundlePlace: string;
}

/** True when the server answered but the bundle does not vouch for it. */
export function isDistrust(error: unknown): boolean {
  return hasReason(error, 'unavailable', 'unauthenticated') && DISTRUST.test(errorMessage(error));
}

/** True when the server's certificate was issued by somebody whom the bundle does not know. */
export function isUnknownAuthority(error: unknown): boolean {
  return hasReason(error, 'unavailable', 'unauthenticated') && UNKNOWN_AUTHORITY.test(errorMessage(error));
}

export function explainFailure(error: unknown, { address, bundlePlace }: FailureContext): string {
  const text = errorMessage(error);
  const server = formatServerAddress(address);
  if (isDistrust(error)) {
    return `the server at ${server} is not one that the trust bundle ${bundlePlace} vouches for: ${lastError(text)}`;
  }
  if (hasReason(error, 'unavailable') && UNREACHABLE.test(text)) {
    return `cannot reach the server at ${server}: ${lastError(text)}`;
  }
  if (hasReason(error, 'invalid_argument') && text.includes('join token')) {
    return `${text}; make a new one on the server with 'bonafide-server token generate'`;
  }
  return text;
}

/** gRPC puts the cause behind `Last error:` and its own affairs behind `Resolution note:`. */
function lastError(text: string): string {
  const match = /Last error: (.*?)(?:\.? Resolution note:.*)?$/s.exec(text);
  return (match?.[1] ?? text).trim().replace(/^Error: /, '');
}
