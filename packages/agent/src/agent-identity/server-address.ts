/** Where a server's API listens. */
import { isIP } from 'node:net';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

export interface ServerAddress {
  /** A DNS name or an IP address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

export function formatServerAddress({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** @throws BonafideError `invalid_argument` unless it is `name:port`, `1.2.3.4:port` or `[::1]:port`. */
export function parseServerAddress(text: string): ServerAddress {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const [, literal, name, digits = ''] = match ?? [];
  const host = literal ?? name ?? '';
  const port = Number(digits);
  const isHost =
    literal === undefined ? /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253})$/.test(host) : isIP(host) === 6;
  if (match === null || !isHost || port < 1 || port > 65_535) {
    throw invalidArgument(
      `${JSON.stringify(text)} is no server address; expected host:port, for example server.example.org:8081 or [2001:db8::1]:8081`,
    );
  }
  return { host, port };
}
