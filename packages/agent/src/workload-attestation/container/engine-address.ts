/** Where a container engine listens, as SPIRE's configuration writes it: `unix:///var/run/docker.sock`. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

/** Without the zero byte that ends it; a longer path would be cut in silence (unix(7)). */
const LONGEST_SOCKET_PATH = 107;

/** @returns the socket's path. @throws BonafideError `invalid_argument` */
export function parseEngineAddress(text: string): string {
  const path = /^(?:unix:\/\/)?(\/[^\0]*)$/.exec(text)?.[1];
  if (path === undefined) {
    throw invalidArgument(
      `${JSON.stringify(text.slice(0, 128))} is no Unix socket; expected for example unix:///var/run/docker.sock`,
    );
  }
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw invalidArgument(`the path of the engine's socket is longer than ${LONGEST_SOCKET_PATH} bytes`);
  }
  return path;
}

/**
 * @param template an address with one `%d` for the user's number; `%%` is a percent sign.
 * @throws BonafideError `invalid_argument`
 */
export function parseEngineTemplate(template: string): (uid: number) => string {
  const parts = template.split(/(%.?)/);
  if (parts.filter((part) => part === '%d').length !== 1 || parts.some(isUnknownPlaceholder)) {
    throw invalidArgument(
      `${JSON.stringify(template.slice(0, 128))} needs %d exactly once, for the user's number, and no other placeholder than %%`,
    );
  }
  const addressOf = (uid: number): string =>
    parseEngineAddress(
      parts.map((part) => (part === '%d' ? String(uid) : part === '%%' ? '%' : part)).join(''),
    );
  addressOf(2 ** 32 - 2);
  // So that two templates can be told apart, as when a configuration is read again.
  return Object.assign(addressOf, { template });
}

function isUnknownPlaceholder(part: string): boolean {
  return part.startsWith('%') && part !== '%d' && part !== '%%';
}
