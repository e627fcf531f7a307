/** Where a cloud's metadata service answers: plain HTTP by nature, and therefore only on an address that leaves neither the machine nor its link. */
import { BlockList, isIP } from 'node:net';
import { invalidArgument } from '../errors/bonafide-error.js';

/** Loopback, link-local (RFC 3927), and the address of EC2's service over IPv6. */
const NEAR = new BlockList();
NEAR.addSubnet('127.0.0.0', 8, 'ipv4');
NEAR.addSubnet('169.254.0.0', 16, 'ipv4');
NEAR.addAddress('::1', 'ipv6');
NEAR.addSubnet('fe80::', 10, 'ipv6');
NEAR.addAddress('fd00:ec2::254', 'ipv6');

/**
 * @returns scheme, host and port; a path of `/latest`, as SPIRE's configurations have it, is taken off.
 * @throws BonafideError `invalid_argument`.
 */
export function parseMetadataEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw invalidArgument(`${JSON.stringify(text)} is not the URL of a metadata service`);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw invalidArgument('the URL of a metadata service has more than scheme, host, port and path');
  if (!/^\/(?:latest\/?)?$/.test(url.pathname))
    throw invalidArgument(`the URL of a metadata service has the path ${url.pathname}; expected none`);
  if (url.protocol === 'http:' && !isNear(url.hostname)) {
    throw invalidArgument(
      `${url.origin} would be asked without TLS, which only a loopback or link-local address such as 169.254.169.254 may be`,
    );
  }
  url.pathname = '/';
  return url;
}

function isNear(hostname: string): boolean {
  const address = hostname.replace(/^\[|\]$/g, '');
  const family = isIP(address);
  return family !== 0 && NEAR.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
