import fc from 'fast-check';
import { expect, it } from 'vitest';
import { IdTable } from './id-table.js';

interface Item {
  readonly id: string;
  readonly value: number;
}

it('holds what a map would, whatever is put, replaced and deleted', () => {
  const id = fc.oneof(
    fc.string(),
    fc.integer({ min: 0, max: 60 }).map((index) => `${index}`),
  );
  const step = fc.record({ id, value: fc.integer(), isDelete: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const [table, map] = [new IdTable<Item>(), new Map<string, Item>()];
      for (const { isDelete, ...item } of steps) {
        if (isDelete) {
          table.delete(item.id);
          map.delete(item.id);
        } else {
          table.put(item);
          map.set(item.id, item);
        }
        expect(table.size).toBe(map.size);
        expect(table.get(item.id)).toBe(map.get(item.id));
      }
      for (const each of steps) expect(table.get(each.id)).toBe(map.get(each.id));
    }),
    { numRuns: 300 },
  );
});

it('finds everything while it grows, and everything that is left while it is emptied', () => {
  const table = new IdTable<Item>();
  const items = Array.from({ length: 20_000 }, (_, value) => ({
    id: `spiffe://example.org/${value}`,
    value,
  }));
  for (const item of items) table.put(item);
  expect(items.every((item) => table.get(item.id) === item)).toBe(true);
  const [gone, left] = [
    items.filter(({ value }) => value % 3 > 0),
    items.filter(({ value }) => value % 3 === 0),
  ];
  for (const { id } of gone) table.delete(id);
  expect(table.size).toBe(left.length);
  expect(left.every((item) => table.get(item.id) === item)).toBe(true);
  expect(gone.every(({ id }) => table.get(id) === undefined)).toBe(true);
});
