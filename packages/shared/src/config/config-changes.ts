/** Which keys differ between two configurations. */
import { isDeepStrictEqual } from 'node:util';

/** Dotted, in the order of the file that is newer; a list counts as one value. */
export function changedKeys(before: unknown, after: unknown): readonly string[] {
  return differences(before, after, '');
}

function differences(before: unknown, after: unknown, path: string): readonly string[] {
  if (isGroup(before) && isGroup(after)) {
    const keys = new Set([...Object.keys(after), ...Object.keys(before)]);
    return [...keys].flatMap((key) =>
      differences(before[key], after[key], path === '' ? key : `${path}.${key}`),
    );
  }
  return isSame(before, after) ? [] : [path];
}

function isSame(before: unknown, after: unknown): boolean {
  // Two URLs are equal to Node, whatever they say.
  if (before instanceof URL && after instanceof URL) return before.href === after.href;
  if (Array.isArray(before) && Array.isArray(after)) {
    return before.length === after.length && before.every((item, index) => isSame(item, after[index]));
  }
  // What was parsed to a function says from what.
  if (typeof before === 'function' && typeof after === 'function' && Object.keys(before).length > 0) {
    return isDeepStrictEqual(Object.entries(before), Object.entries(after));
  }
  if (isGroup(before) && isGroup(after)) return changedKeys(before, after).length === 0;
  return isDeepStrictEqual(before, after);
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
