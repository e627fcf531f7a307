/** The header lines of a message as they came: node's `headers` joins some and drops others. */
import { fieldLines, type FieldLines } from '../http-signature/http-message.js';

/** @param message of node:http or node:http2. */
export function incomingFields({ rawHeaders }: { readonly rawHeaders: readonly string[] }): FieldLines {
  const lines: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? '';
    (lines[name] ??= []).push(rawHeaders[index + 1] ?? '');
  }
  return fieldLines(lines);
}
