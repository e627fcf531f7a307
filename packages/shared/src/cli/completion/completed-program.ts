/** What shells have to know of a program to complete its command lines, read from its own table of commands. */
import type { Option } from 'commander';
import type { CommandHost } from '../command-host.js';
import { choicesOf } from '../option-values.js';
import type { Program } from '../program.js';
import { loadCommand } from '../run-program.js';

type CompletedValue =
  | { readonly kind: 'none' | 'text' | 'file' | 'directory' }
  | { readonly kind: 'choices'; readonly choices: readonly string[] };

export interface CompletedFlag {
  /** As `--output`. */
  readonly name: string;
  readonly description: string;
  readonly value: CompletedValue;
}

export interface CompletedProgram {
  readonly name: string;
  readonly commands: readonly { readonly path: string; readonly flags: readonly CompletedFlag[] }[];
  /** By the words before it, the words that may come next, with what they do where they are a command. */
  readonly nextWords: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

export async function completedProgram(program: Program, host: CommandHost): Promise<CompletedProgram> {
  const commands = await Promise.all(
    program.commands.map(async (listed) => {
      const { options } = await loadCommand(program, listed, host);
      return { path: listed.path, flags: options.filter(({ hidden }) => !hidden).flatMap(completedFlag) };
    }),
  );
  return { name: program.name, commands, nextWords: nextWords(program) };
}

function completedFlag(option: Option): readonly CompletedFlag[] {
  const { description, long } = option;
  return typeof long === 'string' ? [{ name: long, description, value: completedValue(option) }] : [];
}

function completedValue(option: Option): CompletedValue {
  if (!option.required) return { kind: 'none' };
  const choices = choicesOf(option);
  if (choices.length > 0) return { kind: 'choices', choices };
  const placeholder = /<([a-z-]+)>/.exec(option.flags)?.[1];
  if (placeholder === 'directory') return { kind: 'directory' };
  return { kind: placeholder === 'file' || placeholder === 'path' ? 'file' : 'text' };
}

function nextWords({ commands }: Program): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const next = new Map<string, Map<string, string>>();
  for (const { path, summary } of commands) {
    const words = path.split(' ');
    for (const [index, word] of words.entries()) {
      const before = words.slice(0, index).join(' ');
      const known = next.get(before) ?? new Map<string, string>();
      const isCommand = index === words.length - 1;
      known.set(word, isCommand ? summary : (known.get(word) ?? ''));
      next.set(before, known);
    }
  }
  return next;
}
