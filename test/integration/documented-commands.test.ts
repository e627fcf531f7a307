/** Every command line of README.md and docs that begins with one of the programs is one that the program understands. */
import { agentProgram } from '@bonafide/agent/cli/program';
import { oidcProgram } from '@bonafide/oidc/cli/program';
import { serverProgram } from '@bonafide/server/cli/program';
import { resolveCommand, type Program } from '@bonafide/shared/cli/program';
import { loadCommand } from '@bonafide/shared/cli/run-program';
import { translateSpireFlags } from '@bonafide/shared/cli/spire-flags';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { describe, expect, it } from 'vitest';
import { readPages } from '../e2e/docs/read-document.js';

const PROGRAMS: readonly Program[] = [serverProgram, agentProgram, oidcProgram];
const RUNS = ['', 'sh', 'console'];
const START = /(?:^|[|;&(] *|sudo )(bonafide-(?:server|agent|oidc)) ([a-z-].*)/g;

const documented = readPages().flatMap(({ blocks }) =>
  blocks
    .filter(({ file, language }) => RUNS.includes(language) && file === undefined)
    .flatMap(({ place, text }) => commandsIn(text).map((command) => ({ ...command, place }))),
);

interface DocumentedCommand {
  readonly program: string;
  readonly words: readonly string[];
}

/** Lines that go on behind a backslash are one; what is behind `|`, `&`, `;`, `>` or `#` is another matter. */
function commandsIn(text: string): readonly DocumentedCommand[] {
  const lines = text.replaceAll(/\\\n */g, ' ').split('\n');
  return lines.flatMap((line) =>
    [
      ...line
        .replace(/^\$ /, '')
        .replaceAll(/\$\(([^()]*)\)/g, 'value')
        .matchAll(START),
    ].map(([, program = '', rest = '']) => ({ program, words: wordsOf(rest) })),
  );
}

function wordsOf(rest: string): readonly string[] {
  const words = rest.match(/[|;&>)#]|(?:"[^"]*"|'[^']*'|<[^>]*>|[^\s|;&>)"'])+/g) ?? [];
  const end = words.findIndex((word) => /^[|;&>)#]/.test(word));
  return (end === -1 ? words : words.slice(0, end)).filter((word) => word !== '…' && word !== '\\');
}

describe('a documented command', () => {
  it('is found in many places', () => {
    expect(documented.length).toBeGreaterThan(100);
  });

  it.each(documented)('$place: $program $words', async ({ program: name, words }) => {
    const program = PROGRAMS.find((each) => each.name === name);
    if (program === undefined) throw new Error(`there is no program ${name}`);
    const resolution = resolveCommand(program, words);
    if (resolution.kind !== 'command') {
      expect(resolution.kind).not.toBe('unknown');
      return;
    }
    const command = await loadCommand(program, resolution.command, createRecordedHost());
    const takesValue = (flag: string): boolean =>
      command.options.some(({ long, required }) => required && long === `--${flag}`);
    const flags = translateSpireFlags(resolution.rest, takesValue).filter((word) => word.startsWith('--'));
    const known = new Set([...command.options.map(({ long }) => long), '--help']);
    for (const flag of flags) expect(known).toContain(flag.split('=')[0]);
  });
});
