/** Where the Workload API is (SPIFFE Workload Endpoint section 4): an address given, or SPIFFE_ENDPOINT_SOCKET. */
import { isIP, isIPv6 } from 'node:net';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

/** The environment variable that says where the Workload API is, when the program does not. */
export const ENDPOINT_VARIABLE = 'SPIFFE_ENDPOINT_SOCKET';

/** Where Linux cuts a socket's path, its terminator not counted. */
const MAX_SOCKET_PATH_BYTES = 107;

const ACCEPTED = 'expected unix:///absolute/path or tcp://ip:port';

/**
 * The address as gRPC wants it.
 * @param address `unix:///absolute/path`, `unix:/absolute/path` or `tcp://127.0.0.1:8000`; undefined: the environment variable.
 * @throws BonafideError `invalid_argument` when there is none, or it is not of that form.
 */
export function resolveEndpointAddress(
  address: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const text = address ?? environment[ENDPOINT_VARIABLE];
  if (text === undefined || text === '') {
    throw invalidArgument(`no Workload API address: give one or set ${ENDPOINT_VARIABLE}; ${ACCEPTED}`);
  }
  return parseEndpointAddress(text);
}

/** @throws BonafideError `invalid_argument`. */
export function parseEndpointAddress(text: string): string {
  // RFC 3986 appendix B, with the parts that the standard forbids told apart so that each can be named.
  const match = /^(unix|tcp):(?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?$/is.exec(text);
  if (match === null) throw invalid(text, 'has neither scheme unix nor tcp');
  const [, scheme = '', authority, path = '', query, fragment] = match;
  if (query !== undefined) throw invalid(text, 'must not have a query');
  if (fragment !== undefined) throw invalid(text, 'must not have a fragment');
  return scheme.toLowerCase() === 'unix'
    ? unixTarget(text, authority, path)
    : tcpTarget(text, authority, path);
}

function unixTarget(text: string, authority: string | undefined, path: string): string {
  if (authority !== undefined && authority !== '') throw invalid(text, 'must not name a host');
  if (!path.startsWith('/') || path === '/') throw invalid(text, 'must have the absolute path of a socket');
  const decoded = decodePath(text, path);
  if (decoded.includes('\0')) throw invalid(text, 'has a zero byte in its path');
  if (Buffer.byteLength(decoded) > MAX_SOCKET_PATH_BYTES) {
    throw invalid(text, `has a path longer than ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  return `unix:${decoded}`;
}

function tcpTarget(text: string, authority: string | undefined, path: string): string {
  if (authority === undefined || authority === '') throw invalid(text, 'must have an IP address and a port');
  if (authority.includes('@')) throw invalid(text, 'must not have user information');
  if (path !== '') throw invalid(text, 'must not have a path');
  const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority) ?? [];
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  if (isIP(bare) === 0 || isIPv6(bare) !== host.startsWith('[')) {
    throw invalid(text, 'must name its host by IP address');
  }
  if (port === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw invalid(text, 'must have a port from 1 to 65535');
  }
  return isIPv6(bare) ? `ipv6:[${bare}]:${Number(port)}` : `ipv4:${bare}:${Number(port)}`;
}

function decodePath(text: string, path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw invalid(text, 'has a malformed percent-encoding');
  }
}

function invalid(text: string, problem: string): Error {
  return invalidArgument(
    `Workload API address ${JSON.stringify(text.slice(0, 200))} ${problem}; ${ACCEPTED}`,
  );
}
