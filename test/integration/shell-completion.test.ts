/** What `completion` prints, run by the shells that it is for. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { runAgentProgram } from '@bonafide/agent/cli/program';
import { runOidcProgram } from '@bonafide/oidc/cli/program';
import { runServerProgram } from '@bonafide/server/cli/program';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PROGRAMS = {
  'bonafide-server': runServerProgram,
  'bonafide-agent': runAgentProgram,
  'bonafide-oidc': runOidcProgram,
} as const;

type ProgramName = keyof typeof PROGRAMS;

let directory: TemporaryDirectory;
beforeAll(() => {
  directory = createTemporaryDirectory();
  writeFileSync(directory.join('entries of mine.json'), '');
  mkdirSync(directory.join('folder'));
});
afterAll(() => {
  directory.remove();
});

/** What each shell says may come next, one a line. */
const SHELLS = {
  bash: (words, script) => {
    const last = words.length - 1;
    const listed = words.map(inQuotes).join(' ');
    const call = `COMP_WORDS=(${listed}); COMP_CWORD=${last}; _${(words[0] ?? '').replaceAll('-', '_')}`;
    return ['--norc', '-c', `set -u; source ${script}; ${call}; printf '%s\\n' "\${COMPREPLY[@]}"`];
  },
  // The functions by which zsh shows what it is given exist only while a line is edited.
  zsh: (words, script) => {
    const stand = [
      'compdef() { : }',
      'compset() { : }',
      `compadd() { shift; print -rl -- $@ }`,
      `_files() { if [[ $# -eq 0 ]]; then print -rl -- *; else print -rl -- *(/); fi }`,
      '_describe() { print -rl -- ${${(P)4}%%:*} }',
    ];
    const line = `words=(${words.map(inQuotes).join(' ')}); CURRENT=${words.length}`;
    const call = `_${(words[0] ?? '').replaceAll('-', '_')}`;
    return [
      '-f',
      '-c',
      [...stand, `source ${script}`, `f() { local -a words; integer CURRENT; ${line}; ${call} }`, 'f'].join(
        '\n',
      ),
    ];
  },
  fish: (words, script) => [
    '--no-config',
    '-c',
    `source ${script}; complete -C ${inQuotes(words.join(' '))}`,
  ],
} as const satisfies Record<string, (words: readonly string[], script: string) => readonly string[]>;

for (const shell of ['bash', 'zsh', 'fish'] as const) {
  const isThere = spawnSync(shell, ['--version']).status === 0;
  describe.runIf(isThere)(`completion in ${shell} (needs ${shell})`, () => {
    async function suggested(...words: readonly [ProgramName, ...string[]]): Promise<readonly string[]> {
      const [name] = words;
      const host = createRecordedHost();
      expect(await PROGRAMS[name](['completion', shell], host)).toBe(0);
      const script = directory.join(`${name}.${shell}`);
      writeFileSync(script, host.printed.stdout);
      const typed = words.at(-1) ?? '';
      const { code, stdout, stderr } = await runProcess(shell, [...SHELLS[shell](words, script)], {
        cwd: directory.path,
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const value = typed.includes('=') ? typed.slice(typed.indexOf('=') + 1) : typed;
      return stdout
        .split('\n')
        .map((line) => line.replace(/\t.*/, ''))
        .map((line) => (line.includes('=') ? line.slice(line.indexOf('=') + 1) : line).replace(/\/$/, ''))
        .filter((line) => line !== '' && line.startsWith(value))
        .toSorted();
    }

    it('offers commands, and the words of a group', async () => {
      expect(await suggested('bonafide-server', 'ent')).toEqual(['entry']);
      expect(await suggested('bonafide-server', 'entry', 'c')).toEqual(['count', 'create']);
      expect(await suggested('bonafide-server', 'localauthority', 'jwt', '')).toEqual(
        expect.arrayContaining(['activate', 'prepare', 'revoke', 'show', 'taint']),
      );
      expect(await suggested('bonafide-agent', 'api', 'fetch', '')).toEqual(
        expect.arrayContaining(['jwt', 'wit', 'x509']),
      );
      expect(await suggested('bonafide-oidc', 'v')).toEqual(['validate']);
    });

    it('offers the flags of the command, and of no other', async () => {
      const flags = await suggested('bonafide-server', 'entry', 'create', '--sp');
      expect(flags).toEqual(['--spiffe-id']);
      expect(await suggested('bonafide-server', 'entry', 'create', '--admin', '--jwt-svid-t')).toEqual([
        '--jwt-svid-ttl',
      ]);
      expect(await suggested('bonafide-server', 'bundle', 'show', '--sp')).toEqual([]);
      expect(await suggested('bonafide-agent', 'run', '--named')).toEqual([]);
    });

    it('offers the values of a flag that has few', async () => {
      expect(await suggested('bonafide-server', 'entry', 'show', '--output', '')).toEqual(['json', 'pretty']);
      expect(await suggested('bonafide-server', 'bundle', 'delete', '--mode', 'd')).toEqual([
        'delete',
        'dissociate',
      ]);
      expect(await suggested('bonafide-agent', 'run', '--log-level', 'D')).toEqual(['DEBUG']);
    });

    it('offers files and folders where a flag takes one', async () => {
      expect(await suggested('bonafide-server', 'entry', 'create', '--data', 'ent')).toEqual([
        'entries of mine.json',
      ]);
      expect(await suggested('bonafide-server', 'x509', 'mint', '--write', 'fo')).toEqual(['folder']);
      expect(await suggested('bonafide-server', 'entry', 'create', '--hint', 'ent')).toEqual([]);
    });
  });
}

describe('completion', () => {
  it('takes a value behind an equals sign in bash, which makes three words of it', async () => {
    const host = createRecordedHost();
    await runServerProgram(['completion', 'bash'], host);
    const script = directory.join('equals.bash');
    writeFileSync(script, host.printed.stdout);
    for (const words of [
      ['--output', '='],
      ['--output', '=', 'j'],
    ]) {
      const args = SHELLS.bash(['bonafide-server', 'entry', 'show', ...words], script);
      const { stdout } = await runProcess('bash', [...args]);
      expect(stdout.split('\n')).toContain('json');
    }
  });
});

function inQuotes(text: string): string {
  return `'${text}'`;
}
