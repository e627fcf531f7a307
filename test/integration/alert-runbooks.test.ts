/** Each alert leads to a part of the documentation that is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '..', '..');

interface AlertRules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly annotations: { readonly runbook: string } }[];
  }[];
}

describe('an alert', () => {
  const text = readFileSync(join(root, 'deploy', 'prometheus', 'alerts.yml'), 'utf8');
  const { groups } = parse(text) as AlertRules;
  const rules = groups.flatMap((group) => group.rules);

  it('is one of many, and none has the name of another', () => {
    expect(rules.length).toBeGreaterThan(20);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });

  it.each(rules)('$alert names a heading that says what to do', ({ annotations: { runbook } }) => {
    const [path = '', anchor] = runbook.split('#');
    expect(anchor).toBeDefined();
    expect(anchorsOf(join(root, path))).toContain(anchor);
  });
});

describe('a link in the runbooks', () => {
  const folder = join(root, 'docs');
  const runbooks = readdirSync(join(folder, 'runbooks')).map((name) => join(folder, 'runbooks', name));
  const pages = ['telemetry', 'troubleshooting', 'security-model', 'cloud-oidc']
    .map((name) => join(folder, `${name}.md`))
    .concat(runbooks, join(root, 'SECURITY.md'));

  it.each(pages.map((page) => relative(root, page)))('of %s leads to a page and a heading', (name) => {
    const page = join(root, name);
    const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)\s#]*)(?:#([^)\s]*))?\)/g)];
    for (const [link, path = '', anchor] of links) {
      const target = path === '' ? page : join(dirname(page), path);
      expect(existsSync(target), link).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), link).toContain(anchor);
    }
  });
});

/** As the web pages of repositories make them from headings. */
function anchorsOf(page: string): readonly string[] {
  return [...readFileSync(page, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}
