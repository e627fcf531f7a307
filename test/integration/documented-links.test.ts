/** Links of README.md and docs lead to files and headings that are there. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPages, root } from '../e2e/docs/read-document.js';

const LINK = /\]\((?!https?:|mailto:)([^()\s#]*)(?:#([^()\s]*))?\)/g;

function withoutCode(text: string): string {
  return text
    .replaceAll(/^( *)```[\s\S]*?^\1```$/gm, '')
    .replaceAll(/`[^`\n]*`/g, (code) => code.slice(1, -1));
}

/** As GitHub makes them of headings. */
function anchorsOf(path: string): ReadonlySet<string> {
  const headings = withoutCode(readFileSync(path, 'utf8')).matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, text = '']) =>
      text
        .toLowerCase()
        .replaceAll(/\]\([^)]*\)/g, '')
        .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

describe('a link', () => {
  it.each(readPages().map(({ path }) => path))('of %s leads somewhere', (path) => {
    const page = join(root, path);
    const dead = [...withoutCode(readFileSync(page, 'utf8')).matchAll(LINK)].filter(
      ([, file = '', anchor]) => {
        const target = file === '' ? page : join(dirname(page), file);
        if (!existsSync(target)) return true;
        return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).has(anchor);
      },
    );
    expect(dead.map(([link]) => `${relative(root, page)}: ${link}`)).toEqual([]);
  });

  it('to every page is in docs/README.md, or in the README.md of its folder', () => {
    const pages = readPages().map(({ path }) => path);
    const indices = pages.filter((path) => path.endsWith('README.md'));
    const linked = new Set(
      indices.flatMap((index) =>
        [...withoutCode(readFileSync(join(root, index), 'utf8')).matchAll(LINK)].flatMap(([, file = '']) =>
          file === '' ? [] : [join(dirname(index), file)],
        ),
      ),
    );
    const isLinked = (path: string): boolean => linked.has(path) || linked.has(dirname(path));
    expect(pages.filter((path) => path !== 'README.md' && !isLinked(path))).toEqual([]);
    expect(linked).toContain(join('docs', 'README.md'));
  });

  it('to a heading is held against the headings that there are', () => {
    expect(anchorsOf(join(root, 'docs', 'installation.md'))).toContain('containers');
    expect(anchorsOf(join(root, 'docs', 'installation.md'))).not.toContain('nowhere');
  });
});
