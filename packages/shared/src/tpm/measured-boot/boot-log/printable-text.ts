/** Bytes of unknown meaning as a short text that is safe on a terminal. */

/** What fits of `text`, with everything but printable ASCII replaced: no control, no change of direction. */
export function printable(text: string, longest: number): string {
  const clean = text.slice(0, longest + 1).replaceAll(/[^\x20-\x7e]/gu, '?');
  return clean.length > longest ? `${clean.slice(0, longest - 3)}...` : clean;
}

/** As text if it is ASCII or ASCII in UTF-16, in hex otherwise. */
export function printableBytes(bytes: Buffer, longest: number): string {
  const start = bytes.subarray(0, longest * 2 + 2);
  const text = textOf(start) ?? start.toString('hex');
  return printable(text, longest);
}

function textOf(bytes: Buffer): string | undefined {
  const isUtf16 =
    bytes.length >= 2 && bytes.length % 2 === 0 && bytes.every((byte, at) => at % 2 === 0 || byte === 0);
  const text = bytes.toString(isUtf16 ? 'utf16le' : 'latin1').replace(/\0+$/u, '');
  return /^[\x20-\x7e\r\n\t]+$/u.test(text) ? text.trim().replaceAll(/\s+/gu, ' ') : undefined;
}
