/** Which DNS names the SVIDs of a role may have: a name, or `*.` before a name for all below it. */
import { parseDnsName } from '@bonafide/shared/registration/dns-name';

export interface DnsNamePattern {
  readonly text: string;
  /** Lower case; with its leading dot when all below it are meant. */
  readonly end: string;
}

/** @throws BonafideError `invalid_argument`. */
export function parseDnsNamePattern(text: string): DnsNamePattern {
  const name = text.startsWith('*.') ? text.slice(2) : text;
  parseDnsName(name);
  return { text, end: `${text.startsWith('*.') ? '.' : ''}${name.toLowerCase()}` };
}

/** DNS names are the same in capitals. */
export function matchesDnsName({ end }: DnsNamePattern, dnsName: string): boolean {
  const name = dnsName.toLowerCase();
  return end.startsWith('.') ? name.endsWith(end) && name.length > end.length : name === end;
}
