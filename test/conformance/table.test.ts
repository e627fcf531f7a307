import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const TEST_NAME = /\bit\(\s*(['"`])(\S*? ?section [\d.]+: .*?)\1,/gs;

/** docs/conformance.md has a table for each file of tests here; what it calls tested is exactly what they test. */
describe('docs/conformance.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/conformance.md'), 'utf8');
  const files = readdirSync(import.meta.dirname).filter(
    (name) => name.endsWith('.test.ts') && name !== 'table.test.ts',
  );

  it.each(files)('says what %s tests, no more and no less', (file) => {
    const source = readFileSync(join(import.meta.dirname, file), 'utf8');
    const tested = [...source.matchAll(TEST_NAME)].map(([, , name]) => name);
    expect(tested.length).toBeGreaterThan(0);
    expect(testedRows(file)).toEqual([...tested].sort());
  });

  it('has no table for a file that is not there', () => {
    const named = [...text.matchAll(/`test\/conformance\/(\S+)`/g)].map(([, name]) => name);
    expect([...new Set(named)].sort()).toEqual([...files, 'table.test.ts'].sort());
  });

  /** The rows of the section that names the file, as the names of tests. */
  function testedRows(file: string): readonly string[] {
    const section = text.split(/^## /m).find((part) => part.includes(`\`test/conformance/${file}\``)) ?? '';
    return section
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .filter(([, , , result]) => result === 'tested')
      .map(([, clause = '', requirement = '']) => `${clause}: ${requirement}`)
      .map((name) => (name.startsWith('X509') ? name : `section ${name}`))
      .sort();
  }
});
