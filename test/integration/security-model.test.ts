/** docs/security-model.md: each test that it names is there, by file and title. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const page = readFileSync(join(root, 'docs', 'security-model.md'), 'utf8');
const claims = [...page.matchAll(/`([\w./-]+\.test\.ts)` “([^”]+)”/g)].map(([, path = '', title = '']) => ({
  path,
  title,
}));

it('every test file of the page is named with a title', () => {
  expect(claims.length).toBeGreaterThan(30);
  expect(page.match(/\.test\.ts/g)?.length).toBe(claims.length);
});

it.each(claims)('$path has “$title”', ({ path, title }) => {
  expect(existsSync(join(root, path))).toBe(true);
  expect(readFileSync(join(root, path), 'utf8')).toContain(title);
});

it('each of the ten invariants of the page has a test', () => {
  const invariants = [...page.matchAll(/^(\d+)\. \*\*[\s\S]*?(?=^\d+\. \*\*|^## )/gm)];
  expect(invariants.map(([, number]) => Number(number))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  for (const [text] of invariants) expect(text).toContain('.test.ts');
});
