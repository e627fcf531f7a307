/** Takes the space around a header's value away (RFC 9110 section 5.5), in one look at each character whatever a stranger sends. */

/** Spaces and tabs alone: `trim` would take more. */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text[start])) start += 1;
  while (end > start && isSpace(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function isSpace(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}
