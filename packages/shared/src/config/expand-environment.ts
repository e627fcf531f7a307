/** `--expand-env`: `$NAME` and `${NAME}` in a configuration file, by the rules of Go's os.Expand, which SPIRE uses. */

export interface Expansion {
  readonly text: string;
  /** Names that the environment does not have; each became empty text. */
  readonly unset: readonly string[];
}

const REFERENCE = /\$(?:\{([^{}\s]*)\}|([A-Za-z_]\w*)|([\d*#$@!?-]))/g;

/** `$$` is one dollar sign; a dollar sign before anything else that is no name stays. */
export function expandEnvironment(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): Expansion {
  const unset = new Set<string>();
  const expanded = text.replace(REFERENCE, (_, braced?: string, plain?: string, special?: string) => {
    const name = braced ?? plain ?? special ?? '';
    if (name === '$') return '$';
    const value = environment[name];
    if (value === undefined) unset.add(name);
    return value ?? '';
  });
  return { text: expanded, unset: [...unset] };
}
