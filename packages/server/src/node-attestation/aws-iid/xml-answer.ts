/** Answers of AWS in XML: read without entities of their own, then held against the shape that is expected. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { XMLParser } from 'fast-xml-parser';
import { z } from 'zod';

const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  parseTagValue: false,
  trimValues: false,
  htmlEntities: true, // numeric ones are decoded by nothing else
  maxNestedTags: 24,
  isArray: (name) => name === 'item' || name === 'member',
});

/** @param what completes "the answer of AWS to". @throws BonafideError `unavailable` when it is not XML of that shape. */
export function parseXmlAnswer<S extends z.ZodType>(schema: S, text: string, what: string): z.output<S> {
  // Document types, in which entities that grow are declared, and everything else that AWS does not write.
  if (text.includes('<!')) throw unexpected(what, 'has a declaration');
  let value: unknown;
  try {
    value = parser.parse(text);
  } catch (cause) {
    throw unexpected(what, 'cannot be read', cause);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw unexpected(what, `lacks what is expected at ${issue?.path.join('.') ?? 'its root'}`);
}

/** A list of `item` or `member` elements that may be empty, or not be there at all. */
export function xmlList<Item extends z.ZodType>(
  item: Item,
): z.ZodDefault<
  z.ZodUnion<readonly [z.ZodType<readonly z.output<Item>[]>, z.ZodType<readonly z.output<Item>[]>]>
> {
  const empty = z.string().transform((): readonly z.output<Item>[] => []);
  const present = z
    .object({ item: z.array(item).optional(), member: z.array(item).optional() })
    .transform((list): readonly z.output<Item>[] => list.item ?? list.member ?? []);
  return z.union([empty, present]).default([]);
}

function unexpected(what: string, problem: string, cause?: unknown): BonafideError {
  return new BonafideError('unavailable', `the answer of AWS to ${what} ${problem}`, { cause });
}
