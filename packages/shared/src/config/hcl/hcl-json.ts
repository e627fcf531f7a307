/** SPIRE's configuration as JSON, which it reads as another way to write HCL. */
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { errorMessage } from '../../errors/bonafide-error.js';
import { DEEPEST, HclSyntaxError, type HclGroup, type HclValue, type Place } from './hcl-tree.js';

/** @throws HclSyntaxError */
export function parseHclJson(source: string): HclGroup {
  try {
    JSON.parse(source);
  } catch (error) {
    throw new HclSyntaxError(undefined, `not valid JSON: ${errorMessage(error)}`);
  }
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const place = (offset: number | undefined): Place => {
    const { line, col } = lines.linePos(offset ?? 0);
    return { line, column: col };
  };
  const tree = valueOf(document.contents, place, 0);
  if (tree.kind !== 'group') throw new HclSyntaxError(tree.at, 'expected a group of keys');
  return tree;
}

function valueOf(node: unknown, place: (offset: number | undefined) => Place, depth: number): HclValue {
  if (depth > DEEPEST) throw new HclSyntaxError(undefined, `groups are nested deeper than ${DEEPEST}`);
  if (isMap(node)) {
    const at = place(node.range?.[0]);
    const entries = node.items.flatMap(({ key, value }) => {
      // What is null is not there.
      if (!isScalar(key) || (isScalar(value) && value.value === null)) return [];
      return [{ key: String(key.value), at: place(key.range?.[0]), value: valueOf(value, place, depth + 1) }];
    });
    return { kind: 'group', at, entries };
  }
  if (isSeq(node)) {
    const items = node.items.map((item) => valueOf(item, place, depth + 1));
    return { kind: 'list', at: place(node.range?.[0]), items };
  }
  const value: unknown = isScalar(node) ? node.value : undefined;
  const at = place(isScalar(node) ? node.range?.[0] : undefined);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'scalar', at, value, written: String(value) };
  }
  throw new HclSyntaxError(at, 'expected text, a number, true or false');
}
