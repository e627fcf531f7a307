/** docs/spire-compatibility.md against the programs: each row of it is tried, and nothing that the programs have is left out of it. */
import { agentProgram } from '@bonafide/agent/cli/program';
import { oidcProgram } from '@bonafide/oidc/cli/program';
import { serverProgram } from '@bonafide/server/cli/program';
import { choicesOf } from '@bonafide/shared/cli/option-values';
import type { Program } from '@bonafide/shared/cli/program';
import { loadCommand, runProgram } from '@bonafide/shared/cli/run-program';
import { gnuFlagName, translateSpireFlags } from '@bonafide/shared/cli/spire-flags';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import type { Command, Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { readSpireTables } from './spire-table.js';

const PROGRAMS: readonly Program[] = [serverProgram, agentProgram, oidcProgram];

const { spire, own } = readSpireTables();
const named = spire.filter(({ command }) => isCommand(command));

/** Values that the flags take, by their GNU name; those of whom there is no other word take any text. */
const VALUES: Readonly<Record<string, string>> = {
  selector: 'unix:uid:1000',
  'spiffe-id': 'spiffe://example.org/web',
  'parent-id': 'spiffe://example.org/node',
  'endpoint-spiffe-id': 'spiffe://example.org/web',
  'federates-with': 'spiffe://partner.test',
  id: 'spiffe://partner.test',
  'trust-domain': 'partner.test',
  'expires-before': '2030-01-02 15:04:05 -0700 -07',
  'expired-for': '24h',
  'can-reattest': 'true',
  banned: 'true',
  dns: 'web.example.org',
  'entry-expiry': '1900000000',
  'bundle-endpoint-url': 'https://partner.test',
  'subject-key-id': 'ab12',
};

describe('the table of SPIRE’s commands', () => {
  it('has rows of each of its programs', () => {
    expect(new Set(named.map(({ program }) => program))).toEqual(new Set(PROGRAMS.map(({ name }) => name)));
    expect(named.length).toBeGreaterThan(55);
  });

  it.each(named.filter(({ state }) => state !== 'missing'))(
    '$program $command takes what is $state, in both spellings',
    async ({ command, flags, program, state }) => {
      for (const flag of flags) {
        const { optionOf, parse } = await commandOf(program, command);
        const option = optionOf(flag);
        expect(option, flag).toBeDefined();
        if (option === undefined) continue;
        const value = option.required ? [valueOf(option)] : [];
        const key = option.attributeName();
        const bySpire = await parse([`-${flag}`, ...value]);
        const byGnu = await parse([`--${gnuFlagName(flag)}`, ...value]);
        expect(bySpire[key], flag).toBeDefined();
        expect(bySpire).toEqual(byGnu);
        const twoDashes = value.map((text) => `--${flag}=${text}`);
        if (twoDashes.length > 0) expect(await parse(twoDashes)).toEqual(byGnu);
        if (state === 'no effect' && flag !== 'shallow') expect(option.hidden, flag).toBe(true);
      }
    },
  );

  it.each(spire.filter(({ state }) => state === 'missing'))(
    '$program refuses what is missing, $flags, and says what to do instead',
    async ({ command, flags, program, remark }) => {
      const paths = isCommand(command) ? [command] : await commandsWithSocket(program);
      expect(paths.length).toBeGreaterThan(0);
      for (const path of paths) {
        for (const flag of flags.flatMap((name) => [`-${name}`, `--${gnuFlagName(name)}`])) {
          const host = createRecordedHost();
          expect(await runProgram(programOf(program), [...path.split(' '), flag, 'x'], host), path).toBe(1);
          expect(host.printed.stderr).toContain(remark);
        }
      }
    },
  );
});

describe('the table of what is beyond SPIRE', () => {
  it.each(PROGRAMS.flatMap((program) => program.commands.map(({ path }) => ({ name: program.name, path }))))(
    'has every flag of $name $path that is not SPIRE’s',
    async ({ name, path }) => {
      const rows = named.filter((row) => row.program === name && row.command === path);
      const ofSpire = new Set(rows.flatMap(({ flags }) => flags.map((flag) => `--${gnuFlagName(flag)}`)));
      const { command } = await commandOf(name, path);
      const flags = command.options
        .filter(({ hidden }) => !hidden)
        .flatMap(({ long }) => (typeof long !== 'string' || ofSpire.has(long) ? [] : [long]));
      const row = own.find((each) => each.program === name && each.command === path);
      const wanted = `in docs/spire-compatibility.md: | \`${path}\` | ${flags.map((flag) => `\`${flag}\``).join(' ')} |`;
      if (rows.length === 0) expect(row, wanted).toBeDefined();
      expect(new Set(row?.flags ?? []), wanted).toEqual(new Set(flags));
    },
  );

  it('names no command that there is not', () => {
    for (const { command, program } of own) {
      expect(programOf(program).commands.map(({ path }) => path)).toContain(command);
    }
  });
});

function isCommand(words: string): boolean {
  return !words.startsWith('every command');
}

function programOf(name: string): Program {
  const program = PROGRAMS.find((each) => each.name === name);
  if (program === undefined) throw new Error(`no program ${name}`);
  return program;
}

async function commandOf(
  name: string,
  path: string,
): Promise<{
  readonly command: Command;
  readonly optionOf: (spireFlag: string) => Option | undefined;
  readonly parse: (argv: readonly string[]) => Promise<Record<string, unknown>>;
}> {
  const program = programOf(name);
  const listed = program.commands.find((each) => each.path === path);
  if (listed === undefined) throw new Error(`${name} has no command ${path}`);
  const load = (): Promise<Command> => loadCommand(program, listed, createRecordedHost());
  const command = await load();
  return {
    command,
    optionOf: (flag) => command.options.find(({ long }) => long === `--${gnuFlagName(flag)}`),
    parse: async (argv) => {
      const fresh = (await load()).action(() => undefined);
      const takesValue = (flag: string): boolean =>
        fresh.options.some(({ long, required }) => required && long === `--${flag}`);
      await fresh.parseAsync(translateSpireFlags(argv, takesValue), { from: 'user' });
      return fresh.opts();
    },
  };
}

async function commandsWithSocket(name: string): Promise<readonly string[]> {
  const paths = programOf(name).commands.map(({ path }) => path);
  const commands = await Promise.all(paths.map((path) => commandOf(name, path)));
  return paths.filter((_, index) => commands[index]?.optionOf('socketPath') !== undefined);
}

function valueOf(option: Option): string {
  const name = option.long?.slice(2) ?? '';
  const placeholder = /<([^>]+)>/.exec(option.flags)?.[1] ?? '';
  const byKind: Readonly<Record<string, string>> = { seconds: '60', duration: '60s', port: '8443' };
  return choicesOf(option)[0] ?? VALUES[name] ?? byKind[placeholder] ?? 'text';
}
