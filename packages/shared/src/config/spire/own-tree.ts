/** Our configuration while it is built from another, each value with the place from which it came. */
import type { Place } from '../hcl/hcl-tree.js';

type Group = Record<string, unknown>;

export class OwnTree {
  readonly #root: Group = {};
  /** By path, as JSON. */
  readonly #places = new Map<string, Place>();

  get root(): unknown {
    return this.#root;
  }

  set(path: readonly string[], value: unknown, at: Place | undefined): void {
    const last = path.at(-1);
    if (last === undefined) return;
    const group = this.#groupAt(path.slice(0, -1));
    const before = group[last];
    const merged = isGroup(before) && isGroup(value) ? { ...before, ...value } : value;
    Object.defineProperty(group, last, {
      value: merged,
      writable: true,
      enumerable: true,
      configurable: true,
    });
    if (at !== undefined) this.note(path, at);
  }

  /** It is there, though nothing may be in it. */
  group(path: readonly string[], at: Place): void {
    this.#groupAt(path);
    this.note(path, at);
  }

  note(path: readonly PropertyKey[], at: Place): void {
    const key = keyOf(path);
    if (!this.#places.has(key)) this.#places.set(key, at);
  }

  placeOf(path: readonly PropertyKey[]): Place | undefined {
    for (let length = path.length; length > 0; length -= 1) {
      const place = this.#places.get(keyOf(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return undefined;
  }

  #groupAt(path: readonly string[]): Group {
    let group = this.#root;
    for (const step of path) {
      const next = Object.hasOwn(group, step) ? group[step] : undefined;
      if (isGroup(next)) {
        group = next;
        continue;
      }
      const made: Group = {};
      Object.defineProperty(group, step, {
        value: made,
        writable: true,
        enumerable: true,
        configurable: true,
      });
      group = made;
    }
    return group;
  }
}

function keyOf(path: readonly PropertyKey[]): string {
  return JSON.stringify(path.map(String));
}

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
