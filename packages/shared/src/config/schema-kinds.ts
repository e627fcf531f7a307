/** Looks up what kind of value a schema accepts at a place, to read what another notation writes less strictly. */
import type { z } from 'zod';
import { schemasAt } from './schema-keys.js';

/** zod's words: `string`, `number`, `boolean`, `array`, `object`, `record`, `enum`, `literal`… */
export function kindsAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): ReadonlySet<string> {
  return new Set(schemasAt(schema, path).map((at) => (at as z.core.$ZodTypes)._zod.def.type));
}

/** Whether any key is accepted there, as names of trust domains or clusters are. */
export function takesAnyKey(schema: z.core.$ZodType, path: readonly PropertyKey[]): boolean {
  const kinds = kindsAt(schema, path);
  return kinds.has('record') || kinds.has('unknown') || kinds.has('any') || kinds.has('custom');
}
