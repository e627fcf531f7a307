/** Addresses of TCP listeners as Go writes them: `host:port`, `[::1]:port`, `:port` for every address of the machine. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

export interface SocketAddress {
  /** Undefined: every address of the machine. */
  readonly host: string | undefined;
  readonly port: number;
}

/** @throws BonafideError `invalid_argument`. */
export function parseSocketAddress(text: string): SocketAddress {
  const match = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\s:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw invalidArgument(
      `${JSON.stringify(text)} is no address to listen on; expected for example :443 or 127.0.0.1:8443`,
    );
  }
  return { host: match[1] ?? (match[2] || undefined), port };
}
