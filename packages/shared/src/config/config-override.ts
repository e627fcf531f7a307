/** Flags of the command line that take the place of values in the configuration file, as SPIRE's do. */

/** A value from the command line that takes the place of what the file says. */
export interface ConfigOverride {
  readonly path: readonly string[];
  readonly value: unknown;
  /** As the operator typed it, for messages, for example `--bind-port`. */
  readonly flag: string;
}

/** A copy with the overrides put in, making the groups on the way that are not there. */
export function withOverrides(root: unknown, overrides: readonly ConfigOverride[]): unknown {
  return overrides.reduce((value, { path, value: replacement }) => replaced(value, path, replacement), root);
}

function replaced(value: unknown, [step, ...rest]: readonly string[], replacement: unknown): unknown {
  if (step === undefined) return replacement;
  const group = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  const inner = (group as Readonly<Record<string, unknown>>)[step];
  return { ...group, [step]: replaced(inner, rest, replacement) };
}
