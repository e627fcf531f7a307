/** What an HCL file (version 1, as SPIRE has it) or its JSON form says, each thing with its place. */
import { BonafideError } from '../../errors/bonafide-error.js';

/** 1-based. */
export interface Place {
  readonly line: number;
  readonly column: number;
  /** Present: not in the configuration file itself but in one that it names. */
  readonly file?: string;
}

export function placeText({ line, file }: Place): string {
  return file === undefined ? `line ${line}` : `line ${line} of ${file}`;
}

export interface HclScalar {
  readonly kind: 'scalar';
  readonly at: Place;
  readonly value: string | number | boolean;
  /** A number as it is written, for where a text is expected. */
  readonly written: string;
}

interface HclList {
  readonly kind: 'list';
  readonly at: Place;
  readonly items: readonly HclValue[];
}

export interface HclGroup {
  readonly kind: 'group';
  readonly at: Place;
  /** In the order of the file; a key that is there several times is several entries. */
  readonly entries: readonly HclEntry[];
}

export interface HclEntry {
  readonly key: string;
  readonly at: Place;
  readonly value: HclValue;
}

export type HclValue = HclScalar | HclList | HclGroup;

/** Something in the text that is not HCL. */
export class HclSyntaxError extends BonafideError {
  readonly at: Place | undefined;

  constructor(at: Place | undefined, message: string) {
    super('invalid_argument', message);
    this.at = at;
  }
}

/** Groups within groups and lists; beyond, it is no configuration. */
export const DEEPEST = 32;

/** As HashiCorp's decoder tells it: each group in a list, for there may be several of one name. */
function decoded(value: HclValue): unknown {
  switch (value.kind) {
    case 'scalar':
      return value.value;
    case 'list':
      return value.items.map((item) => (item.kind === 'group' ? decodedGroup(item) : decoded(item)));
    case 'group':
      return [decodedGroup(value)];
  }
}

export function decodedGroup(group: HclGroup): Readonly<Record<string, unknown>> {
  const fields = new Map<string, unknown>();
  for (const { key, value } of group.entries) {
    const next = decoded(value);
    const before = fields.get(key);
    const isMore = value.kind === 'group' && Array.isArray(before);
    fields.set(key, isMore ? [...(before as readonly unknown[]), ...(next as readonly unknown[])] : next);
  }
  return Object.fromEntries(fields);
}
