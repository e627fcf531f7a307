/** Words of shells: names of functions, and text that means nothing but itself. */

/** `_bonafide_server` of `bonafide-server`. */
export function functionName(program: string): string {
  return `_${program.replaceAll('-', '_')}`;
}

export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** In which a backslash counts within single quotes, too. */
export function quotedForFish(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A word and what it does, as zsh's `_describe` takes them. */
export function described(word: string, what: string): string {
  return quoted(what === '' ? word : `${word}:${what.replaceAll('\\', '\\\\')}`);
}
