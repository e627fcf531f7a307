/** The names under which the provider may be reached: relying parties believe what the document says of itself, so nobody else may choose it. */
const HOST = /^([^:]+)(?::([0-9]{1,5}))?$/;

/** @param host of a request, with or without a port. @returns the same in lower case, when its name is one of the domains. */
export function allowedHost(host: string | undefined, domains: ReadonlySet<string>): string | undefined {
  const lower = host?.toLowerCase() ?? '';
  const name = HOST.exec(lower)?.[1];
  return name !== undefined && domains.has(name) ? lower : undefined;
}
