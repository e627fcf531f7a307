/** Which selectors the entries of a role may have: `type:value`, or all that start so when it ends in a star. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, MAX_SELECTOR_BYTES, parseSelector } from '@bonafide/shared/registration/selector';
import type { Selector } from '@bonafide/shared/registration/selector';

export interface SelectorPattern {
  readonly text: string;
  /** Of the text of a selector, without the star. */
  readonly start: string;
  readonly isWhole: boolean;
}

/** @param text `k8s:ns:team-a`, `unix:*`, or `*` for all. @throws BonafideError `invalid_argument`. */
export function parseSelectorPattern(text: string): SelectorPattern {
  const isWhole = !text.endsWith('*');
  const start = isWhole ? text : text.slice(0, -1);
  if (start.includes('*') || Buffer.byteLength(text) > MAX_SELECTOR_BYTES) {
    throw invalidArgument(
      `${JSON.stringify(text.slice(0, 64))} is not a pattern of selectors; expected for example k8s:ns:team-a, or unix:* with its star at the end`,
    );
  }
  if (isWhole) parseSelector(text);
  else if (start !== '') parseSelector(`${start}x`);
  return { text, start, isWhole };
}

export function matchesSelector({ start, isWhole }: SelectorPattern, selector: Selector): boolean {
  const text = formatSelector(selector);
  return isWhole ? text === start : text.startsWith(start);
}
