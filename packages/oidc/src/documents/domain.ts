/** The names under which the provider may be reached: relying parties believe what the document says of itself, so nobody else may choose it. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const DOMAIN = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);
const HOST = /^([^:]+)(?::([0-9]{1,5}))?$/;

/** @throws BonafideError `invalid_argument` for what is no lower-case DNS name in ASCII. */
export function parseDomain(text: string): string {
  if (DOMAIN.test(text)) return text;
  throw invalidArgument(
    `${JSON.stringify(text)} is no domain name; expected lower case, punycode and no port, for example oidc.example.org`,
  );
}

/** @param host of a request, with or without a port. @returns the same in lower case, when its name is one of the domains. */
export function allowedHost(host: string | undefined, domains: ReadonlySet<string>): string | undefined {
  const lower = host?.toLowerCase() ?? '';
  const name = HOST.exec(lower)?.[1];
  return name !== undefined && domains.has(name) ? lower : undefined;
}
