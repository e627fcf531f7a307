/** The names under which nodes may ask to be called back: of DNS, in one spelling, and of those that the operator allows. */
import { createContext, Script } from 'node:vm';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseDomain } from '@bonafide/shared/serving-certificate/domain-name';

/** A pattern that takes longer to say no is one that a clever name could keep busy for ever. */
const LONGEST_MATCH_MS = 100;

const MATCH = new Script('pattern.test(hostname)');

/**
 * One node has one name: letters become small, and what URLs read as an IP address is refused, be it decimal, octal or hexadecimal.
 * @throws BonafideError `invalid_argument`; `permission_denied` for the server's own host.
 */
export function parseHostName(text: string): string {
  const hostname = parseDomain(text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())); // of ASCII alone
  const last = hostname.slice(hostname.lastIndexOf('.') + 1);
  // WHATWG URL section 3.5: a host whose last label is a number is an IPv4 address, however it is spelled.
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(last)) {
    throw invalidArgument(`the hostname ${JSON.stringify(hostname)} is an address; expected a DNS name`);
  }
  if (last === 'localhost') {
    throw new BonafideError('permission_denied', 'you can not use localhost as a hostname');
  }
  return hostname;
}

/** @returns a pattern that matches whole names. @throws BonafideError `invalid_argument`. */
export function parseHostNamePattern(text: string): RegExp {
  try {
    new RegExp(text); // by itself: it must not close our brackets
    return new RegExp(`^(?:${text})$`, 'i');
  } catch (cause) {
    throw invalidArgument(`${JSON.stringify(text)} is no regular expression`, cause);
  }
}

/** @param patterns none: every name is allowed. @throws BonafideError `permission_denied`. */
export function checkHostName(hostname: string, patterns: readonly RegExp[]): void {
  if (patterns.length === 0 || patterns.some((pattern) => matches(pattern, hostname))) return;
  throw new BonafideError('permission_denied', 'the requested hostname is not allowed to connect');
}

function matches(pattern: RegExp, hostname: string): boolean {
  try {
    return MATCH.runInContext(createContext({ pattern, hostname }), { timeout: LONGEST_MATCH_MS }) === true;
  } catch (cause) {
    const message = `an entry of allowed_dns_patterns takes too long to match; simplify ${JSON.stringify(pattern.source)}`;
    throw new BonafideError('failed_precondition', message, { cause });
  }
}
