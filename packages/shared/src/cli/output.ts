/** `--output pretty|json`: the choice, and JSON exactly as SPIRE's commands print it. */
import { InvalidArgumentError, Option } from 'commander';
import type { CommandHost } from './command-host.js';
import { withChoices } from './option-values.js';

export type OutputFormat = 'pretty' | 'json';

export type JsonValue =
  string | number | boolean | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** @param flag another name for it, where SPIRE has one. */
export function outputOption(flag = '--output'): Option {
  return withChoices(new Option(`${flag} <format>`, 'pretty or json'), ['pretty', 'json'])
    .default('pretty')
    .argParser(parseOutputFormat);
}

/** Prints one answer in the form that was asked for. */
export function printAnswer(
  host: CommandHost,
  format: OutputFormat,
  forms: { readonly json: () => JsonValue; readonly pretty: () => string },
): void {
  host.stdout.write(format === 'json' ? `${jsonText(forms.json())}\n` : forms.pretty());
}

/** Compact, with the characters escaped that Go's encoder escapes (those that would matter inside HTML). */
function jsonText(value: JsonValue): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function parseOutputFormat(text: string): OutputFormat {
  const format = text.toLowerCase();
  if (format === 'json') return 'json';
  if (format === 'pretty' || format === 'prettyprint') return 'pretty';
  throw new InvalidArgumentError('expected pretty or json');
}
