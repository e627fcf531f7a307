/** What HCL says as plain values, in the kinds that our schema expects: HCL tells a list of groups from a group, and 8081 from "8081", less strictly. */
import type { z } from 'zod';
import type { HclEntry, HclScalar, HclValue, Place } from '../hcl/hcl-tree.js';
import { kindsAt } from '../schema-kinds.js';
import type { SpireFields, SpireValue } from './spire-rules.js';

interface PlainValuesOptions {
  readonly schema: z.core.$ZodType;
  readonly note: (path: readonly PropertyKey[], at: Place) => void;
  readonly problem: (at: Place, path: readonly string[], message: string) => void;
}

export class PlainValues {
  readonly #options: PlainValuesOptions;

  constructor(options: PlainValuesOptions) {
    this.#options = options;
  }

  /** All that the file says of one key. @returns undefined when it makes no sense, which has been told. */
  of(entries: readonly HclEntry[], path: readonly string[], from: readonly string[]): SpireValue | undefined {
    const [first, second] = entries;
    if (first === undefined) return undefined;
    this.#options.note(path, first.at);
    const values = entries.map(({ value }) => value);
    const groups = values.flatMap((value) => (value.kind === 'list' ? value.items : [value]));
    const isAllGroups = groups.length > 0 && groups.every(({ kind }) => kind === 'group');
    if (isAllGroups && (second !== undefined || first.value.kind !== 'list' || !this.#takesList(path))) {
      return this.#takesList(path)
        ? groups.map((value, index) => this.#one(value, [...path, String(index)], from))
        : this.#merged(groups, path, from);
    }
    if (second !== undefined) {
      this.#options.problem(
        second.at,
        from,
        `this key is there twice in the same group, the first time in line ${first.at.line}`,
      );
      return undefined;
    }
    return this.#one(first.value, path, from);
  }

  #one(value: HclValue, path: readonly string[], from: readonly string[]): SpireValue {
    this.#options.note(path, value.at);
    switch (value.kind) {
      case 'scalar':
        return this.#scalar(value, path);
      case 'list':
        return value.items.map((item, index) => this.#one(item, [...path, String(index)], from));
      case 'group':
        return this.#merged([value], path, from);
    }
  }

  #merged(groups: readonly HclValue[], path: readonly string[], from: readonly string[]): SpireFields {
    const byKey = new Map<string, HclEntry[]>();
    for (const group of groups) {
      for (const entry of group.kind === 'group' ? group.entries : []) {
        byKey.set(entry.key, [...(byKey.get(entry.key) ?? []), entry]);
      }
    }
    const fields: [string, SpireValue][] = [];
    for (const [key, entries] of byKey) {
      const value = this.of(entries, [...path, key], [...from, key]);
      // Empty text is SPIRE's way to leave a key out.
      if (value !== undefined && value !== '') fields.push([key, value]);
    }
    return Object.fromEntries(fields);
  }

  #takesList(path: readonly string[]): boolean {
    const kinds = kindsAt(this.#options.schema, path);
    return kinds.has('array') && !kinds.has('object');
  }

  /** As HashiCorp's decoder does: numbers and switches may be in quotes, and texts of digits without. */
  #scalar({ value, written }: HclScalar, path: readonly string[]): string | number | boolean {
    const kinds = kindsAt(this.#options.schema, path);
    if (kinds.has('string') || kinds.has('enum') || kinds.has('literal')) {
      return typeof value === 'number' && !kinds.has('number') ? written : value;
    }
    if (typeof value === 'string' && kinds.has('number') && /^-?\d{1,15}(?:\.\d{1,9})?$/.test(value)) {
      return Number(value);
    }
    if (kinds.has('boolean')) return parsedSwitch(value) ?? value;
    return value;
  }
}

/** Go's strconv.ParseBool. */
function parsedSwitch(value: string | number | boolean): boolean | undefined {
  const text = String(value);
  if (/^(?:1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(?:0|f|F|FALSE|false|False)$/.test(text) ? false : undefined;
}

/** Asks for nothing: `false`, zero, or without content. */
export function isEmpty(value: SpireValue): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === 'object') return Object.keys(value).length === 0;
  return value === false || value === 'false' || value === '' || value === 0;
}
