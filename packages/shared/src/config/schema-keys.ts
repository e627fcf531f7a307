/** Looks up which keys a schema accepts at a place, to say what a mistyped key probably meant. */
import type { z } from 'zod';

type AnySchema = z.core.$ZodType;

/** The keys of every object the schema allows at `path`; none where it allows no object with named keys. */
export function keysAt(schema: AnySchema, path: readonly PropertyKey[]): readonly string[] {
  return [...new Set(schemasAt(schema, path).flatMap((at) => Object.keys(shapeOf(at) ?? {})))];
}

/** Every schema that judges what is at `path`, without wrappers; none where nothing is accepted. */
export function schemasAt(schema: AnySchema, path: readonly PropertyKey[]): readonly AnySchema[] {
  let reached: readonly AnySchema[] = unwrap(schema);
  for (const step of path) reached = reached.flatMap((at) => child(at, step)).flatMap(unwrap);
  return reached;
}

/** What is inside the wrappers (optional, default, transform) and the members of a union. */
function unwrap(schema: AnySchema): readonly AnySchema[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if ('innerType' in def) return unwrap(def.innerType);
  if (def.type === 'pipe') return unwrap(def.in);
  return def.type === 'union' ? def.options.flatMap(unwrap) : [schema];
}

function child(schema: AnySchema, step: PropertyKey): readonly AnySchema[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === 'array') return [def.element];
  if (def.type === 'record') return [def.valueType];
  const member = shapeOf(schema)?.[String(step)];
  return member === undefined ? [] : [member];
}

function shapeOf(schema: AnySchema): Readonly<Record<string, AnySchema>> | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  return def.type === 'object' ? def.shape : undefined;
}
