/** SPIRE's own example files, which are read from a clone and never kept here: each is read, or refused for the reason that the table has. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { describe, expect, it } from 'vitest';
import { AGENT, expectSameAfterConversion, load, OIDC, SERVER, type Kind } from './spire-config-kinds.js';

const source = process.env['BONAFIDE_SPIRE_SOURCE'];

/** SPIRE's repository, as a working tree or bare. */
describe.runIf(source !== undefined)("SPIRE's own example files", () => {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-C', source ?? '.', ...args], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const page = readFileSync(new URL('../../docs/spire-compatibility.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([^`]+\.conf)` +\| (read|refused) +\| (.*?) +\|$/gm)];

  it('are all in the table of the documentation', () => {
    const files = git('ls-tree', '-r', '--name-only', 'HEAD')
      .split('\n')
      .filter((file) => isExample(file));
    expect(rows.map(([, file]) => file)).toEqual(files);
  });

  it.each(rows.map(([, file = '', state = '', remark = '']) => ({ file, state, remark })))(
    '$file is $state',
    { timeout: 30_000 },
    async ({ file, state, remark }) => {
      const text = git('show', `HEAD:${file}`);
      const kind = kindOf(text);
      let found = 'read';
      let said = '';
      try {
        await load(text, kind, (warning) => (said = warning));
      } catch (error) {
        found = 'refused';
        said = errorMessage(error);
      }
      expect(found, said).toBe(state);
      expect(said.replaceAll(/\s+/g, ' ')).toContain(remark.replaceAll('\\|', '|'));
      if (found === 'read') await expectSameAfterConversion(text, kind);
    },
  );
});

/** Files of other programs have the same extension. */
function isExample(file: string): boolean {
  return file.endsWith('.conf') && !/supervisord|slurm\/(?:cgroup|slurm)\.conf$|plugin_good/.test(file);
}

function kindOf(text: string): Kind {
  if (/^\s*agent\s*\{/m.test(text)) return AGENT;
  return /^\s*domains?\s*=/m.test(text) ? OIDC : SERVER;
}
