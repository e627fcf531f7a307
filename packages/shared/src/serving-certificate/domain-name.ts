/** Names under which a server of the open web is reached and certified: those of DNS, in one spelling, so that they compare as text. */
import { invalidArgument } from '../errors/bonafide-error.js';

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const DOMAIN = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);

/** @throws BonafideError `invalid_argument` for what is no lower-case DNS name in ASCII. */
export function parseDomain(text: string): string {
  if (DOMAIN.test(text)) return text;
  throw invalidArgument(
    `${JSON.stringify(text)} is no domain name; expected lower case, punycode and no port, for example oidc.example.org`,
  );
}
