/** What a signature sees of an HTTP message. */
import { trimSpace } from './trim-space.js';

/** A field's lines in order, each without surrounding space; undefined when there are none. @param name in lower case. */
export type FieldLines = (name: string) => readonly string[] | undefined;

/** What a signature of a request covers. */
export interface SignedRequest {
  /** As on the wire, in capitals. */
  readonly method: string;
  /** As on the wire: path and query. */
  readonly target: string;
  readonly fields: FieldLines;
}

/** What a signature of an answer covers. */
export interface SignedResponse {
  readonly status: number;
  readonly fields: FieldLines;
  /** The request that is answered. */
  readonly request: Pick<SignedRequest, 'method' | 'target'>;
}

export type SignedMessage = SignedRequest | SignedResponse;

/** Header lines by name, as this library reads them. @param headers by name in any case; several lines as an array. */
export function fieldLines(
  headers: Readonly<Record<string, number | string | readonly string[] | undefined>>,
): FieldLines {
  const lines = new Map<string, string[]>();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const values = typeof value === 'object' ? value : [String(value)];
    const key = name.toLowerCase();
    lines.set(key, [...(lines.get(key) ?? []), ...values.map(trimSpace)]);
  }
  return (name) => lines.get(name);
}
