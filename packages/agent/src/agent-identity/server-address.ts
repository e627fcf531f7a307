/** Where the server's API listens. */

export interface ServerAddress {
  /** A DNS name or an IP address. */
  readonly host: string;
  readonly port: number;
}

export function formatServerAddress({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
