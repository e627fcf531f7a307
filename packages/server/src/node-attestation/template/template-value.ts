/** What a template sees of a node: text, numbers, lists, and fields by name. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

export type TemplateValue = string | number | boolean | readonly TemplateValue[] | TemplateFields;

export interface TemplateFields {
  readonly [name: string]: TemplateValue;
}

/** Values come from nodes: a few functions in a row must not make a lot out of a little. */
const MOST_CHARACTERS = 4 * 1024;

export function isList(value: TemplateValue): value is readonly TemplateValue[] {
  return Array.isArray(value);
}

export function isFields(value: TemplateValue): value is TemplateFields {
  return typeof value === 'object' && !isList(value);
}

/** @throws BonafideError `invalid_argument` for what has no text of its own, and for text that is too long. */
export function textOf(value: TemplateValue, where: string): string {
  if (typeof value === 'object') throw invalidArgument(`${where} is not text; choose one of its parts`);
  const text = String(value);
  if (text.length > MOST_CHARACTERS)
    throw invalidArgument(`${where} is longer than ${MOST_CHARACTERS} characters`);
  return text;
}

/** Go's idea of nothing: empty text and lists, zero, false. */
export function isEmpty(value: TemplateValue): boolean {
  if (isList(value)) return value.length === 0;
  if (typeof value === 'object') return Object.keys(value).length === 0;
  return value === '' || value === 0 || value === false;
}

/** Own properties alone: a node's tag called `constructor` is a tag. */
export function fieldOf(fields: TemplateFields, name: string): TemplateValue | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}
