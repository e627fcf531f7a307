/** The shape of a command line program: commands listed by name, each loaded only when it is the one that was asked for. */
import type { Command } from 'commander';
import type { CommandHost } from './command-host.js';

/** Declares flags, examples and the action on a command whose name and summary are already set. */
type CommandSetUp = (command: Command, host: CommandHost) => void;

export interface ListedCommand {
  /** The words that name it, for example `entry create`. */
  readonly path: string;
  readonly summary: string;
  readonly load: () => Promise<CommandSetUp>;
}

export interface Program {
  readonly name: string;
  readonly summary: string;
  readonly version: () => string;
  readonly commands: readonly ListedCommand[];
  /** Runs when the arguments begin with a flag, for programs that SPIRE has without commands. */
  readonly defaultCommand?: string;
  /** Complete command lines for the program's own help. */
  readonly examples: readonly string[];
}

export type Resolution =
  | { readonly kind: 'command'; readonly command: ListedCommand; readonly rest: readonly string[] }
  | { readonly kind: 'help'; readonly group: string; readonly asked: boolean }
  | { readonly kind: 'version' }
  | { readonly kind: 'unknown'; readonly words: string };

const HELP = new Set(['-h', '--help', '-help']);
const VERSION = new Set(['-v', '-V', '--version', '-version']);

/** Finds what the arguments ask for from their leading words alone, so that no command has to be loaded for it. */
export function resolveCommand(program: Program, argv: readonly string[]): Resolution {
  const [first = ''] = argv;
  if (VERSION.has(first)) return { kind: 'version' };
  if (first === 'help') return resolveCommand(program, [...argv.slice(1), '--help']);
  const flagIndex = argv.findIndex((argument) => argument.startsWith('-'));
  const words = flagIndex === -1 ? argv : argv.slice(0, flagIndex);
  for (let length = words.length; length > 0; length -= 1) {
    const path = words.slice(0, length).join(' ');
    const command = program.commands.find((candidate) => candidate.path === path);
    if (command !== undefined) return { kind: 'command', command, rest: argv.slice(length) };
  }
  const byDefault = flagIndex === 0 && !HELP.has(first) ? program.defaultCommand : undefined;
  const command = program.commands.find(({ path }) => path === byDefault);
  if (command !== undefined) return { kind: 'command', command, rest: argv };
  const group = words.join(' ');
  if (group !== '' && !isGroup(program, group)) return { kind: 'unknown', words: group };
  return { kind: 'help', group, asked: argv.some((argument) => HELP.has(argument)) };
}

export function isGroup(program: Program, words: string | undefined): boolean {
  return program.commands.some(({ path }) => path.startsWith(`${words ?? ''} `));
}
