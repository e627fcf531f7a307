/** DNS names of an SVID (RFC 1034 section 3.5, RFC 6125 section 6.4.3): ASCII labels of letters, digits and hyphens; a wildcard only as the first label. */
import { invalidArgument } from '../errors/bonafide-error.js';

const MAX_NAME_BYTES = 253;
const MAX_LABEL_BYTES = 63;
const LABEL = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$/;

/** @throws BonafideError `invalid_argument` naming the label that is wrong. */
export function parseDnsName(text: string): string {
  const refuse = (problem: string): Error =>
    invalidArgument(`DNS name ${JSON.stringify(text.slice(0, MAX_NAME_BYTES))} ${problem}`);
  if (text === '') throw invalidArgument('DNS name is empty; expected a name such as web.example.org');
  if (text.length > MAX_NAME_BYTES) throw refuse(`is longer than ${MAX_NAME_BYTES} bytes`);
  if (text.endsWith('.')) throw refuse('ends with a dot');
  const name = text.startsWith('*.') ? text.slice(2) : text;
  if (name.includes('*'))
    throw refuse("has a wildcard that is not its whole first label, as in '*.example.org'");
  for (const label of name.split('.')) {
    if (label.length > MAX_LABEL_BYTES) throw refuse(`has a label longer than ${MAX_LABEL_BYTES} bytes`);
    if (!LABEL.test(label)) {
      throw refuse(
        `has the label ${JSON.stringify(label)}; only letters, digits and inner hyphens are accepted`,
      );
    }
    // RFC 5891 section 4.2.3.1: only an encoded international label has hyphens in third and fourth place.
    if (label.slice(2, 4) === '--' && !label.toLowerCase().startsWith('xn--')) {
      throw refuse(`has hyphens in third and fourth place of the label ${JSON.stringify(label)}`);
    }
  }
  return text;
}
