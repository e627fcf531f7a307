/** SPIRE's spelling of flags (`-spiffeID x`, Go's flag package) turned into the GNU spelling that our commands declare (`--spiffe-id x`). */

/**
 * One mechanical rule, no list of flags: camelCase becomes kebab-case. Only the words that SPIRE writes in capitals directly next to
 * another such word have to be known, because nothing else shows where `SVIDTTL` divides.
 */
const WORD = /SVID|TTL|SDS|API|[A-Z]+[0-9]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+/g;

const SPIRE_FLAG = /^--?([a-zA-Z][a-zA-Z0-9]+)(=[^]*)?$/;

/** `x509SVIDTTL` becomes `x509-svid-ttl`; a name that is kebab-case already stays as it is. */
export function gnuFlagName(spireName: string): string {
  return (spireName.match(WORD) ?? [spireName]).join('-').toLowerCase();
}

/**
 * Rewrites every argument that is a flag in SPIRE's spelling. Positional arguments, single-letter flags, GNU flags and everything after
 * `--` stay as they are.
 * @param takesValue tells whether the flag of this GNU name consumes the argument after it, which then stays untouched too.
 */
export function translateSpireFlags(
  argv: readonly string[],
  takesValue: (gnuName: string) => boolean = () => false,
): string[] {
  const translated: string[] = [];
  let isValue = false;
  for (const [index, argument] of argv.entries()) {
    if (argument === '--' && !isValue) return [...translated, ...argv.slice(index)];
    const gnuArgument: string = isValue ? argument : translateArgument(argument);
    translated.push(gnuArgument);
    isValue = !isValue && gnuArgument.startsWith('--') && takesValue(gnuArgument.slice(2));
  }
  return translated;
}

function translateArgument(argument: string): string {
  return argument.replace(
    SPIRE_FLAG,
    (_, name: string, value: string | undefined) => `--${gnuFlagName(name)}${value ?? ''}`,
  );
}
