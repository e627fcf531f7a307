/** Every piece of a configuration in README.md and docs has keys and words that the schema of one of the programs knows, at one place or another. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readPages, root } from '../e2e/docs/read-document.js';

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** First keys of what is no configuration of ours: files of entries, manifests of Kubernetes. */
const OTHERS = ['apiVersion', 'scope', 'spec', 'volumes'];

const schemas = ['server', 'agent', 'oidc'].map(
  (name): Schema =>
    JSON.parse(readFileSync(join(root, 'docs', 'schemas', `${name}.schema.json`), 'utf8')) as Schema,
);
const fragments = readPages()
  .flatMap(({ blocks }) => blocks)
  .filter(({ file, language }) => language === 'yaml' && file === undefined)
  .map(({ place, text }) => ({ place, content: parse(text) as unknown }))
  .filter(({ content }) => !OTHERS.some((key) => isRecord(content) && key in content));

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What in the value the schema does not know. What is missing does not count: a piece is not all of it. */
function unknownIn(value: unknown, schema: Schema, path: string): readonly string[] {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    const found = choices.map((choice) => unknownIn(value, choice, path));
    return found.toSorted((a, b) => a.length - b.length)[0] ?? [];
  }
  const words = schema.const === undefined ? schema.enum : [schema.const];
  if (words !== undefined && !words.includes(value)) return [`${path}: ${JSON.stringify(value)}`];
  if (schema.type !== undefined && !isOfType(value, schema.type)) return [`${path}: no ${schema.type}`];
  const { items } = schema;
  if (Array.isArray(value) && items !== undefined) {
    return value.flatMap((each, index) => unknownIn(each, items, `${path}[${index}]`));
  }
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const known = schema.properties?.[key] ?? schema.additionalProperties ?? {};
    if (known === false) return [`${path}.${key}`];
    return known === true ? [] : unknownIn(inner, known, `${path}.${key}`);
  });
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isRecord(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

/** The schema, and every one in it that says which keys there are. */
function places(schema: Schema): readonly Schema[] {
  const { additionalProperties: others, anyOf = [], items, oneOf = [], properties = {} } = schema;
  const inner = [...Object.values(properties), ...anyOf, ...oneOf];
  if (items !== undefined) inner.push(items);
  if (typeof others === 'object') inner.push(others);
  const here = schema.properties === undefined ? [] : [schema];
  return [...here, ...inner.flatMap(places)];
}

/** Of the place where it fits best; all of it, where none has a key of it. */
function leastUnknown(content: unknown): readonly string[] {
  if (!isRecord(content)) return ['no keys'];
  const [first = ''] = Object.keys(content);
  const known = schemas.flatMap(places).filter(({ properties }) => properties?.[first] !== undefined);
  const found = known.map((schema) => unknownIn(content, schema, ''));
  return found.toSorted((a, b) => a.length - b.length)[0] ?? [`.${first}`];
}

describe('a documented piece of a configuration', () => {
  it('is found in many places', () => {
    expect(fragments.length).toBeGreaterThan(30);
  });

  it.each(fragments)('at $place is known', ({ content }) => {
    expect(leastUnknown(content)).toEqual([]);
  });

  it.each([
    'server: { trust_domian: example.org }',
    'agent: { apis: { sds: maybe } }',
    'audit: { on_failure: ignore }',
    'nowhere: {}',
    'plugins: { NodeAttestor: { tpm: { ek_enrolment: true } } }',
  ])('would be refused with a mistake: %s', (text) => {
    expect(leastUnknown(parse(text))).not.toEqual([]);
  });
});
