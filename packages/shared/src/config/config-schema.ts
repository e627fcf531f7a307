/** The JSON Schema of a configuration file, for editors and for whoever generates files. */
import { z } from 'zod';

/** Ends with a line end, as it is published. @param title what is configured. */
export function jsonSchemaText(schema: z.ZodType, title: string): string {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return `${JSON.stringify({ $schema, title, ...rest }, undefined, 2)}\n`;
}
