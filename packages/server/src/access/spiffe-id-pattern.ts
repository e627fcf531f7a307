/** One SPIFFE ID, or with `/*` at its end all below it. */
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface SpiffeIdPattern {
  readonly text: string;
  /** Ends in a slash exactly when all below it are meant. */
  readonly start: string;
}

/** @throws BonafideError `invalid_argument`. */
export function parseSpiffeIdPattern(text: string): SpiffeIdPattern {
  const isPrefix = text.endsWith('/*');
  const id = parseSpiffeId(isPrefix ? text.slice(0, -2) : text);
  return { text, start: isPrefix ? `${id}/` : id };
}

export function matchesSpiffeId({ start }: SpiffeIdPattern, id: SpiffeId): boolean {
  return start.endsWith('/') ? id.startsWith(start) : id === start;
}

/**
 * @param text a SPIFFE ID; the slash at its end may be left out.
 * @returns with that slash, so that only whole segments of a path match.
 * @throws BonafideError `invalid_argument`.
 */
export function parseSpiffeIdPrefix(text: string): string {
  return `${parseSpiffeId(text.endsWith('/') ? text.slice(0, -1) : text)}/`;
}
