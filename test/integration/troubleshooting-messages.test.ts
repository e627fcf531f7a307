/** docs/troubleshooting.md: what it says that the programs print is what they print. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
/** What is shorter is in some program by chance. */
const LEAST_FIXED_LENGTH = 12;

it('each message of the page is in the source of a program', () => {
  const messages = messagesOf(readFileSync(join(root, 'docs', 'troubleshooting.md'), 'utf8'));
  expect(messages.length).toBeGreaterThan(25);
  const sources = ['server', 'agent', 'shared'].flatMap(sourcesOf);
  const missing = messages.filter((message) => {
    const parts = fixedParts(message);
    expect(Math.max(...parts.map(({ length }) => length)), message).toBeGreaterThanOrEqual(
      LEAST_FIXED_LENGTH,
    );
    return !parts.every((part) => sources.some((source) => source.includes(part)));
  });
  expect(missing).toEqual([]);
});

function messagesOf(page: string): readonly string[] {
  return [...page.matchAll(/^> `(.+)`$/gm)].map(([, message = '']) => message);
}

/** Between the names and numbers that a program fills in. */
function fixedParts(message: string): readonly string[] {
  return message.split('…').filter((part) => /\w{3}/.test(part));
}

/** Of what is delivered: no tests. */
function sourcesOf(name: string): readonly string[] {
  const folder = join(root, 'packages', name, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .map((path) => readFileSync(join(folder, path), 'utf8').replaceAll(String.raw`\'`, "'"));
}
