/** What becomes of each key of SPIRE's configuration that is not simply ours too. */

/** What SPIRE's file says, without places. */
export type SpireValue = string | number | boolean | readonly SpireValue[] | SpireFields;

export interface SpireFields {
  readonly [key: string]: SpireValue;
}

/** Something that our file says for it: where, and what. */
export interface OwnValue {
  readonly path: readonly string[];
  readonly value: SpireValue;
}

export type SpireRule =
  /** It changes nothing here: named in the one warning. `why` ends the sentence "has no meaning here: …". */
  | { readonly kind: 'ignored'; readonly why: string }
  /** Who relies on it must know; refused unless its value asks for nothing. */
  | {
      readonly kind: 'refused';
      readonly why: string;
      /** What it is when it asks for nothing, by default `false` and empty text. */
      readonly harmless?: (value: SpireValue) => boolean;
    }
  | { readonly kind: 'mapped'; readonly to: string; readonly map: (value: SpireValue) => readonly OwnValue[] }
  /** Ours too, in another place. */
  | { readonly kind: 'moved'; readonly to: readonly string[] }
  | {
      readonly kind: 'group';
      readonly keys: SpireRules;
      /** Where keys are names: how ours spells one. */
      readonly rename?: (key: string) => string;
      /** Where keys are names, each of a group: what becomes of the keys of every one. */
      readonly each?: SpireRules;
      /** What stands there when none of these keys does. */
      readonly unless?: { readonly keys: readonly string[]; readonly own: OwnValue };
    }
  /** Ours too, and empty text means something. */
  | { readonly kind: 'same'; readonly keepsEmpty: true };

export type SpireRules = Readonly<Record<string, SpireRule>>;

export interface SpirePlugins {
  /** By kind and name: the keys of its `plugin_data` that differ. */
  readonly data: Readonly<Record<string, Readonly<Record<string, SpireRules>>>>;
  /** By kind and name, or the kind alone for all of it: plugins of SPIRE that are not there, and what to do instead. */
  readonly missing: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

export interface SpireTranslation {
  readonly keys: SpireRules;
  /** Undefined: the program has no plugins. */
  readonly plugins: SpirePlugins | undefined;
}

export function ignored(why: string): SpireRule {
  return { kind: 'ignored', why };
}

export function refused(why: string, harmless?: (value: SpireValue) => boolean): SpireRule {
  return { kind: 'refused', why, ...(harmless === undefined ? {} : { harmless }) };
}

export function mapped(to: string, map: (value: SpireValue) => readonly OwnValue[]): SpireRule {
  return { kind: 'mapped', to, map };
}

export function moved(...to: readonly string[]): SpireRule {
  return { kind: 'moved', to };
}

export function group(keys: SpireRules): SpireRule {
  return { kind: 'group', keys };
}

export function groupOfNamed(each: SpireRules): SpireRule {
  return { kind: 'group', keys: {}, each };
}

/** For text that SPIRE reads without regard to case. */
export function lowerCased(path: readonly string[]): SpireRule {
  return mapped(path.join('.'), (value) => [
    { path, value: typeof value === 'string' ? value.toLowerCase() : value },
  ]);
}
