/** Turns what zod found into problems an operator can act on: what is there, and what would be accepted. */
import type { z } from 'zod';
import { nearestName } from '../cli/nearest-name.js';
import { keysAt } from './schema-keys.js';

export interface SchemaProblem {
  readonly path: readonly PropertyKey[];
  /** Whether the problem is the key itself, not its value. */
  readonly isKey: boolean;
  readonly message: string;
}

export function schemaProblems(
  schema: z.core.$ZodType,
  issues: readonly z.core.$ZodIssue[],
  root: unknown,
): readonly SchemaProblem[] {
  return issues.flatMap((issue) => problemsOf(schema, issue, root));
}

function problemsOf(
  schema: z.core.$ZodType,
  issue: z.core.$ZodIssue,
  root: unknown,
): readonly SchemaProblem[] {
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      isKey: true,
      message: unknownKeyText(key, known),
    }));
  }
  return [{ path: issue.path, isKey: false, message: messageOf(issue, valueAt(root, issue.path)) }];
}

function unknownKeyText(key: string, known: readonly string[]): string {
  const meant = nearestName(key, known);
  if (meant !== undefined) return `unknown key; did you mean ${meant}?`;
  return known.length === 0
    ? 'unknown key; none is accepted here'
    : `unknown key; accepted are ${known.join(', ')}`;
}

function messageOf(issue: z.core.$ZodIssue, found: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return found === undefined
        ? `is missing; expected ${kindName(issue.expected)}`
        : `expected ${kindName(issue.expected)}, found ${shown(found)}`;
    case 'invalid_value':
      return `expected ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map((value) => shown(value)).join(', ')}, found ${shown(found)}`;
    case 'too_small':
      return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin, issue.minimum)}, found ${size(issue.origin, found)}`;
    case 'too_big':
      return `expected ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin, issue.maximum)}, found ${size(issue.origin, found)}`;
    case 'invalid_union':
      return unionText(issue, found);
    case 'custom':
      return issue.message;
    case 'invalid_format':
    case 'not_multiple_of':
    case 'invalid_key':
    case 'invalid_element':
    case 'unrecognized_keys': // told key by key above
      return found === undefined
        ? 'is missing'
        : `${shown(found)} is not accepted: ${lowerFirst(issue.message)}`;
  }
}

/** What the members of a union would have accepted in this place. */
function unionText(issue: z.core.$ZodIssueInvalidUnion, found: unknown): string {
  const wants = new Set(
    issue.errors.flat().map((inner) => {
      const [first] = inner.path;
      const text = inner.code === 'invalid_type' ? kindName(inner.expected) : lowerFirst(inner.message);
      return first === undefined ? text : `${String(first)}: ${text}`;
    }),
  );
  return `found ${shown(found)}, expected ${wants.size === 0 ? 'another form' : [...wants].join(' or ')}`;
}

const KIND_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a group of keys',
  record: 'a group of keys',
  array: 'a list',
};

function kindName(expected: string): string {
  return KIND_NAMES[expected] ?? expected;
}

function unitOf(origin: string, amount: number | bigint): string {
  if (origin === 'string') return amount === 1 ? ' character' : ' characters';
  return origin === 'array' || origin === 'set' ? (amount === 1 ? ' item' : ' items') : '';
}

function size(origin: string, found: unknown): string {
  if (origin === 'string' && typeof found === 'string') return String(found.length);
  return Array.isArray(found) ? String(found.length) : shown(found);
}

const LONGEST_SHOWN = 60;

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a group of keys';
  const text = JSON.stringify(value);
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Readonly<Record<PropertyKey, unknown>>)[step];
  }
  return value;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
