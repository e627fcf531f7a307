/** The checks that a health answer brings for operators, and how a command prints them. */
import { z } from 'zod';

const checksSchema = z.array(
  z.object({
    name: z.string(),
    ok: z.boolean(),
    since: z.string().optional(),
    problem: z.string().optional(),
    remedy: z.string().optional(),
  }),
);

/** Lines; none of a program that does not say. @param header of `CHECKS_HEADER`. */
export function healthCheckLines(header: string | Buffer | undefined): readonly string[] {
  if (header === undefined) return [];
  return checksSchema.parse(JSON.parse(header.toString())).map(checkLine);
}

function checkLine({
  name,
  ok,
  since,
  problem = '',
  remedy = '',
}: z.output<typeof checksSchema>[number]): string {
  const from = since === undefined ? '' : ` since ${since}`;
  if (ok) return `${name}: well${from}`;
  const what = problem === '' || problem.endsWith('.') ? problem : `${problem}.`;
  return `${name}: unwell${from}: ${what}${remedy === '' ? '' : ` To do: ${remedy}.`}`;
}
