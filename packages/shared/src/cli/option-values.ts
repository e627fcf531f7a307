/** The kinds of value that flags take, checked while the command line is read so that a mistake names its flag. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { failureText } from './failure-text.js';

interface FlagParser {
  (text: string): unknown;
  /** All that it takes, where that is a short list. */
  readonly choices?: readonly string[];
}

const CHOICES = new WeakMap<Option, readonly string[]>();

/** Remembers the values of a flag, for shells to complete. The help says them in its own words. */
export function withChoices(option: Option, choices: readonly string[]): Option {
  CHOICES.set(option, choices);
  return option;
}

export function choicesOf(option: Option): readonly string[] {
  return CHOICES.get(option) ?? [];
}

/** Makes a flag's value out of its text; what `parse` throws becomes the message beside the flag's name. */
export function valueOption(flags: string, description: string, parse: FlagParser): Option {
  const option = new Option(flags, description).argParser((text: string) => parseFlag(text, parse));
  return parse.choices === undefined ? option : withChoices(option, parse.choices);
}

/** A flag whose value the configuration checks, as it does that of the file. */
export function suggestingOption(flags: string, description: string, choices: readonly string[]): Option {
  return withChoices(new Option(flags, description), choices);
}

/** A flag that may be given many times; absent when it never was. */
export function repeatedOption(flags: string, description: string, parse: (text: string) => unknown): Option {
  return new Option(flags, `${description} (repeatable)`).argParser(
    (text: string, previous?: readonly unknown[]) => [...(previous ?? []), parseFlag(text, parse)],
  );
}

/** `--flag`, and Go's `--flag=true|false`. */
export function switchOption(flag: string, description: string): Option {
  return new Option(`${flag} [boolean]`, description)
    .preset('true')
    .argParser((text: string) => parseFlag(text, parseBoolean));
}

export function addExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText('after', ['', 'Examples:', ...examples.map((line) => `  $ ${line}`)].join('\n'));
}

/** A whole number between the bounds, both included. */
export function integerBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`);
  };
}

export function oneOf<const T extends string>(
  ...choices: readonly T[]
): ((text: string) => T) & { readonly choices: readonly T[] } {
  const parse = (text: string): T => {
    const chosen = choices.find((choice) => choice === text.toLowerCase());
    if (chosen !== undefined) return chosen;
    throw new InvalidArgumentError(`expected one of ${choices.join(', ')}`);
  };
  return Object.assign(parse, { choices });
}

function parseBoolean(text: string): boolean {
  if (['1', 't', 'true'].includes(text.toLowerCase())) return true;
  if (['0', 'f', 'false'].includes(text.toLowerCase())) return false;
  throw new InvalidArgumentError('expected true or false');
}

function parseFlag<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new InvalidArgumentError(failureText(error));
  }
}
