/** Finds the place in a YAML document to which a problem belongs. */
import { isMap, isNode, isPair, type Document, type Node } from 'yaml';
import type { SchemaProblem } from './schema-problems.js';

/** The node itself; for a missing value the key of the group that lacks it, which is where the operator must write. */
export function nearestNode(document: Document, { path, isKey }: SchemaProblem): Node | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const wantsKey = isKey || length < path.length;
    const node = wantsKey
      ? keyNode(document, path.slice(0, length))
      : document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node;
  }
  return document.contents ?? undefined;
}

function keyNode(document: Document, path: readonly PropertyKey[]): Node | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const key = path.at(-1);
  const pair = isMap(parent)
    ? parent.items.find((item) => isPair(item) && String(item.key) === String(key))
    : undefined;
  if (pair !== undefined) return isNode(pair.key) ? pair.key : undefined;
  const item = document.getIn(path, true);
  return isNode(item) ? item : undefined;
}
