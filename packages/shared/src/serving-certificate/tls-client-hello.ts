/** Tells from the first bytes of a connection whether it is an ACME authority's validation (RFC 8737 section 4: ALPN `acme-tls/1`). */

const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const ACME_PROTOCOL = Buffer.from('\x0aacme-tls/1', 'latin1');
/** RFC 8446 section 5.1: the longest record. A validation's hello fits in one. */
const LONGEST_RECORD_BYTES = 5 + 16_384;

/** @returns undefined while more bytes are needed to tell. */
export function isAcmeValidation(start: Buffer): boolean | undefined {
  if (start.length < 6) return start[0] === undefined || start[0] === HANDSHAKE_RECORD ? undefined : false;
  if (start[0] !== HANDSHAKE_RECORD || start[5] !== CLIENT_HELLO) return false;
  const length = Math.min(5 + start.readUInt16BE(3), LONGEST_RECORD_BYTES);
  if (start.length < length) return undefined;
  return start.subarray(0, length).includes(ACME_PROTOCOL);
}
