/** A tree of SPIRE's on its way into ours: what was said, what was left out, what is wrong, each with its line. */
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { nearestName } from '../../cli/nearest-name.js';
import type { ConfigProblem } from '../config-problem.js';
import type { HclEntry, HclGroup, HclValue, Place } from '../hcl/hcl-tree.js';
import { keysAt } from '../schema-keys.js';
import { takesAnyKey } from '../schema-kinds.js';
import { OwnTree } from './own-tree.js';
import type { OwnValue, SpireRule, SpireRules, SpireValue } from './spire-rules.js';
import { isEmpty, PlainValues } from './plain-values.js';

export interface IgnoredKey {
  readonly path: string;
  readonly at: Place;
  readonly why: string;
}

/** Ours too, but said in another place or another way. */
export interface ChangedKey {
  readonly path: string;
  readonly at: Place;
  readonly to: readonly OwnValue[];
}

export class Translation {
  readonly tree = new OwnTree();
  readonly ignored: IgnoredKey[] = [];
  /** Left out as SPIRE leaves it out, so that nobody need be warned. */
  readonly dropped: IgnoredKey[] = [];
  readonly changed: ChangedKey[] = [];
  readonly problems: ConfigProblem[] = [];
  readonly #schema: z.core.$ZodType;
  readonly #values: PlainValues;

  constructor(schema: z.core.$ZodType) {
    this.#schema = schema;
    this.#values = new PlainValues({
      schema,
      note: (path, at) => {
        this.tree.note(path, at);
      },
      problem: (at, path, message) => {
        this.problem(at, path, message);
      },
    });
  }

  problem(at: Place, path: readonly string[], message: string): void {
    this.problems.push({ position: at, path: path.join('.'), message });
  }

  knownAt(path: readonly string[]): readonly string[] {
    return keysAt(this.#schema, path);
  }

  /** @param from where SPIRE has the group, for messages; @param path where ours has it. */
  group(
    entries: readonly HclEntry[],
    path: readonly string[],
    rules: SpireRules,
    from: readonly string[] = path,
  ): void {
    for (const [key, same] of groupByKey(entries)) this.#key(key, same, path, rules, from);
  }

  #key(
    key: string,
    entries: readonly HclEntry[],
    parent: readonly string[],
    rules: SpireRules,
    parentFrom: readonly string[],
  ): void {
    const [first] = entries;
    if (first === undefined) return;
    const path = [...parent, key];
    const from = [...parentFrom, key];
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    const known = this.knownAt(parent);
    const isOurs = known.includes(key) || takesAnyKey(this.#schema, parent);
    if (rule?.kind === 'group') {
      const inner = this.#groupEntries(entries, from);
      if (isOurs) this.tree.group(path, first.at);
      this.group(inner.map(renamed(rule.rename)), path, rulesOf(rule, inner), from);
      const { unless } = rule;
      if (unless !== undefined && !inner.some((entry) => unless.keys.includes(entry.key))) {
        this.tree.set(unless.own.path, unless.own.value, first.at);
      }
    } else if (rule?.kind === 'moved') {
      this.#same(entries, rule.to, from);
    } else if (rule !== undefined && !(rule.kind === 'ignored' && isOurs)) {
      this.#apply(rule, entries, path, from);
    } else if (isOurs) {
      this.#same(entries, path, from);
    } else {
      const meant = nearestName(key, [...known, ...Object.keys(rules)]);
      const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
      this.problem(first.at, from, `unknown key${hint}`);
    }
  }

  /** A key that is ours too; empty text is SPIRE's way to leave it out. */
  #same(entries: readonly HclEntry[], path: readonly string[], from: readonly string[]): void {
    const value = this.#values.of(entries, path, from);
    const at = entries[0]?.at ?? NOWHERE;
    if (value === '') this.#drop(from, at, 'empty');
    else if (value !== undefined) {
      this.tree.set(path, value, at);
      this.#noteChange(from, at, value, [{ path, value }]);
    }
  }

  #drop(from: readonly string[], at: Place, why: string): void {
    this.dropped.push({ path: from.join('.'), at, why });
  }

  #noteChange(from: readonly string[], at: Place, value: SpireValue, to: readonly OwnValue[]): void {
    const [own] = to;
    const isSame =
      to.length === 1 && own?.path.join('.') === ownName(from) && isDeepStrictEqual(own.value, value);
    if (!isSame) this.changed.push({ path: from.join('.'), at, to });
  }

  #apply(
    rule: Exclude<SpireRule, { readonly kind: 'group' | 'moved' }>,
    entries: readonly HclEntry[],
    path: readonly string[],
    from: readonly string[],
  ): void {
    const at = entries[0]?.at ?? NOWHERE;
    const value = this.#values.of(entries, path, from);
    if (value === undefined) return;
    switch (rule.kind) {
      case 'ignored':
        this.ignored.push({ path: from.join('.'), at, why: rule.why });
        break;
      case 'refused':
        if ((rule.harmless ?? isEmpty)(value)) this.#drop(from, at, 'it asks for nothing');
        else this.problem(at, from, rule.why);
        break;
      case 'same':
        this.tree.set(path, value, at);
        break;
      case 'mapped':
        if (value === '') {
          this.#drop(from, at, 'empty');
          break;
        }
        for (const own of rule.map(value)) this.tree.set(own.path, own.value, at);
        this.#noteChange(from, at, value, rule.map(value));
        break;
    }
  }

  /** The keys of all groups of one name; in JSON they may stand in a list. */
  #groupEntries(entries: readonly HclEntry[], from: readonly string[]): readonly HclEntry[] {
    return entries.flatMap(({ value }) => this.groupsOf(value, from).flatMap((found) => found.entries));
  }

  groupsOf(value: HclValue, from: readonly string[]): readonly HclGroup[] {
    if (value.kind === 'group') return [value];
    if (value.kind === 'list' && value.items.every((item) => item.kind === 'group')) return value.items;
    this.problem(value.at, from, 'expected a group of keys');
    return [];
  }
}

const NOWHERE: Place = { line: 1, column: 1 };

/** Where SPIRE's `plugin_data` is taken away, as it is for every plugin. */
function ownName(from: readonly string[]): string {
  return from
    .filter((key, index) => !(key === 'plugin_data' && from[0] === 'plugins' && index === 3))
    .join('.');
}

function rulesOf(
  { keys, each }: Extract<SpireRule, { readonly kind: 'group' }>,
  inner: readonly HclEntry[],
): SpireRules {
  if (each === undefined) return keys;
  const named: SpireRules = Object.fromEntries(inner.map(({ key }) => [key, { kind: 'group', keys: each }]));
  return { ...named, ...keys };
}

function renamed(rename: ((key: string) => string) | undefined): (entry: HclEntry) => HclEntry {
  return (entry) => (rename === undefined ? entry : { ...entry, key: rename(entry.key) });
}

export function groupByKey(entries: readonly HclEntry[]): ReadonlyMap<string, readonly HclEntry[]> {
  const groups = new Map<string, HclEntry[]>();
  for (const entry of entries) groups.set(entry.key, [...(groups.get(entry.key) ?? []), entry]);
  return groups;
}
