import { Readable } from 'node:stream';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { systemClock } from '../runtime/clock.js';
import type { CommandHost } from './command-host.js';
import {
  addExamples,
  integerBetween,
  oneOf,
  repeatedOption,
  switchOption,
  valueOption,
} from './option-values.js';
import type { Program } from './program.js';
import { runProgram } from './run-program.js';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function createEntry(command: Command, host: CommandHost): void {
  addExamples(command, ['bonafide-server entry create --spiffe-id spiffe://example.org/web'])
    .option('--spiffe-id <id>', 'who it is')
    .addOption(repeatedOption('--selector <type:value>', 'what it has', (text) => text))
    .addOption(switchOption('--downstream', 'whether it is downstream'))
    .addOption(valueOption('--x509-svid-ttl <seconds>', 'how long', integerBetween(0, 100)))
    .addOption(valueOption('--mode <mode>', 'how', oneOf('restrict', 'delete')))
    .option('--hint <text>', 'any text')
    .action((options: object) => {
      host.stdout.write(JSON.stringify(options));
    });
}

function failing(error: unknown): (command: Command) => void {
  return (command) => {
    command.action(() => {
      throw error;
    });
  };
}

const loaded: string[] = [];

const program: Program = {
  name: 'bonafide-server',
  summary: 'Issues identities',
  version: () => '1.2.3',
  examples: ['bonafide-server entry show'],
  commands: [
    listed('entry create', createEntry),
    listed('entry show', failing(new BonafideError('not_found', 'no such entry'))),
    listed('run', failing(Object.assign(new Error('5 NOT_FOUND: gone'), { code: 5, details: 'gone' }))),
    listed('defect', failing(new TypeError('undefined is not a function'))),
  ],
};

function listed(
  path: string,
  setUp: (command: Command, host: CommandHost) => void,
): Program['commands'][number] {
  return {
    path,
    summary: `Does ${path}`,
    load: () => {
      loaded.push(path);
      return Promise.resolve(setUp);
    },
  };
}

async function run(...argv: string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const host: CommandHost = {
    stdin: Readable.from([]),
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    environment: {},
    clock: systemClock,
    stopSignal: () => new AbortController().signal,
  };
  const code = await runProgram(program, argv, host);
  return { code, ...written };
}

describe('runProgram', () => {
  it('gives a command its flags in either spelling', async () => {
    const expected = {
      spiffeId: 'spiffe://a/b',
      selector: ['unix:uid:1', 'unix:gid:2'],
      downstream: true,
      x509SvidTtl: 7,
    };
    const spire = await run(
      'entry',
      'create',
      '-spiffeID',
      'spiffe://a/b',
      '-selector',
      'unix:uid:1',
      '-selector=unix:gid:2',
      '-downstream',
      '-x509SVIDTTL',
      '7',
    );
    const gnu = await run(
      'entry',
      'create',
      '--spiffe-id=spiffe://a/b',
      '--selector',
      'unix:uid:1',
      '--selector',
      'unix:gid:2',
      '--downstream',
      '--x509-svid-ttl=7',
    );
    expect(JSON.parse(spire.stdout)).toEqual(expected);
    expect(JSON.parse(gnu.stdout)).toEqual(expected);
    expect(spire.code).toBe(0);
  });

  it.each([
    [['-downstream=true'], true],
    [['--downstream=false'], false],
    [['-downstream=T'], true],
    [['--downstream'], true],
    [[], undefined],
  ])('reads switches as Go does: %j', async (flags, expected) => {
    const { stdout } = await run('entry', 'create', ...flags);
    expect((JSON.parse(stdout) as { downstream?: boolean }).downstream).toBe(expected);
  });

  it('leaves a value alone that looks like a flag of SPIRE', async () => {
    expect(JSON.parse((await run('entry', 'create', '-hint', '-fooBar')).stdout)).toEqual({
      hint: '-fooBar',
    });
  });

  it.each([
    [
      ['entry', 'create', '--spifeID', 'x'],
      "Error: unknown option '--spife-id'\n(Did you mean --spiffe-id?)",
    ],
    [['entry', 'create', '--x509SVIDTTL', '101'], 'expected a whole number from 0 to 100'],
    [['entry', 'create', '--x509SVIDTTL', '1h'], 'expected a whole number from 0 to 100'],
    [['entry', 'create', '--mode', 'no'], 'expected one of restrict, delete'],
    [['entry', 'create', '--downstream=maybe'], 'expected true or false'],
    [['entry', 'create', 'stray', 'words'], 'too many arguments'],
    [['entry', 'create', '--hint'], "Error: option '--hint <text>' argument missing"],
  ])('explains a mistake in %j and exits 1', async (argv, message) => {
    const { code, stderr, stdout } = await run(...argv);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).toContain("Run 'bonafide-server entry create --help' to see its flags.");
  });

  it.each([
    [['entry', 'show'], 'Error: no such entry\n'],
    [['run'], 'Error: gone\n'],
    [['defect'], 'Error: undefined is not a function\n'],
  ])('prints what %j failed with as one line and exits 1', async (argv, stderr) => {
    expect(await run(...argv)).toEqual({ code: 1, stdout: '', stderr });
  });

  it('shows help with examples for a command', async () => {
    for (const argv of [
      ['entry', 'create', '--help'],
      ['entry', 'create', '-h'],
      ['entry', 'create', '-help'],
      ['help', 'entry', 'create'],
    ]) {
      const { code, stdout } = await run(...argv);
      expect(code).toBe(0);
      expect(stdout).toContain('Usage: bonafide-server entry create [options]');
      expect(stdout).toContain('Does entry create');
      expect(stdout).toContain(
        'Examples:\n  $ bonafide-server entry create --spiffe-id spiffe://example.org/web',
      );
    }
  });

  it('lists commands without loading any', async () => {
    loaded.length = 0;
    for (const argv of [['--help'], ['help'], ['-h']]) {
      const { code, stdout } = await run(...argv);
      expect(code).toBe(0);
      expect(stdout).toContain('Issues identities');
      expect(stdout).toContain('entry create  Does entry create');
    }
    const group = await run('entry', '--help');
    expect(group).toMatchObject({ code: 0, stderr: '' });
    expect(group.stdout).not.toContain('Does run');
    expect(loaded).toEqual([]);
  });

  it('exits as SPIRE does when no command was named', async () => {
    expect(await run()).toMatchObject({ code: 127, stdout: '' });
    expect(await run('entry')).toMatchObject({ code: 1, stdout: '' });
    expect(await run('entry', '--spiffe-id', 'x')).toMatchObject({ code: 1 });
  });

  it('suggests a command for a mistyped one', async () => {
    expect(await run('entry', 'creat')).toEqual({
      code: 1,
      stdout: '',
      stderr: `Error: unknown command "entry creat"; did you mean 'entry create'?\n`,
    });
    expect(await run('frobnicate')).toEqual({
      code: 127,
      stdout: '',
      stderr: `Error: unknown command "frobnicate"; run 'bonafide-server --help' for the list\n`,
    });
  });

  it('prints its version', async () => {
    for (const flag of ['--version', '-version', '-v']) {
      expect(await run(flag)).toEqual({ code: 0, stdout: '1.2.3\n', stderr: '' });
    }
  });
});
