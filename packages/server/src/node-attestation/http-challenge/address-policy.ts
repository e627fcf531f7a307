/** Which addresses a node may have that asks to be called back: without this rule anyone could have the server call anything it can reach. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  isInNetwork,
  parseIpAddress,
  parseIpNetwork,
  type IpNetwork,
} from '@bonafide/shared/http/network-address';

/** Never a node, whatever is configured: nothing, everybody, and where clouds hand out credentials. */
const NEVER = networks(
  ...['0.0.0.0/8', '224.0.0.0/4', '255.255.255.255/32', '::/128', 'ff00::/8'],
  // Metadata services: of most clouds, of containers on AWS, of Azure, Alibaba and Oracle, and AWS over IPv6.
  ...[
    '169.254.169.254/32',
    '169.254.170.2/32',
    '169.254.170.23/32',
    '168.63.129.16/32',
    '100.100.100.200/32',
  ],
  ...['192.0.0.192/32', 'fd00:ec2::254/128', 'fd00:ec2::23/128', 'fd20:ce::254/128'],
);

/** Of IPv4, what IANA's registry of special purposes (RFC 6890) says is not reachable from everywhere. */
const SPECIAL_V4 = networks(
  ...['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...[
    '192.0.2.0/24',
    '192.31.196.0/24',
    '192.52.193.0/24',
    '192.88.99.0/24',
    '192.168.0.0/16',
    '192.175.48.0/24',
  ],
  ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '240.0.0.0/4'],
);

/** Of IPv6, what was assigned to be reached (RFC 4291 section 2.4)... */
const GLOBAL_V6 = parseIpNetwork('2000::/3');
/** ...except the special purposes within, those that carry an IPv4 address of anyone's choice among them (Teredo, 6to4). */
const SPECIAL_V6 = networks('2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20');

/** @param allowed in place of the public addresses; undefined: those. @throws BonafideError `permission_denied`. */
export function checkNodeAddress(text: string, allowed: readonly IpNetwork[] | undefined): void {
  const refuse = (why: string): Error =>
    new BonafideError('permission_denied', `the hostname leads to ${why}; the server does not call there`);
  if (text.includes('%')) throw refuse('an address of one link');
  const address = parseIpAddress(text);
  const isIn = (network: IpNetwork): boolean => isInNetwork(address, network);
  if (NEVER.some(isIn)) throw refuse('an address that no node has');
  if (allowed !== undefined) {
    if (!allowed.some(isIn)) throw refuse('an address outside of allowed_networks');
    return;
  }
  const isPublic = address.family === 4 ? !SPECIAL_V4.some(isIn) : isIn(GLOBAL_V6) && !SPECIAL_V6.some(isIn);
  if (!isPublic) throw refuse('an address that is not public, and allowed_networks is not set');
}

function networks(...texts: readonly string[]): readonly IpNetwork[] {
  return texts.map(parseIpNetwork);
}
