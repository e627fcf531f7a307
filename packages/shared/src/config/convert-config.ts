/** Turns a configuration file of SPIRE into one of ours, in YAML, that loads to the same. */
import type { z } from 'zod';
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import { changedKeys } from './config-changes.js';
import { configForm } from './config-form.js';
import { formatYaml } from './format-yaml.js';
import { placeText } from './hcl/hcl-tree.js';
import { parseConfig } from './load-config.js';
import { parseSpireFile, translateSpireFile } from './spire/spire-file.js';
import type { SpireTranslation } from './spire/spire-rules.js';
import type { ChangedKey } from './spire/translation.js';

export interface ConvertedConfig {
  readonly yaml: string;
  /** Keys that have no meaning here, which the comment at the top names too. */
  readonly ignored: readonly string[];
}

/** @param file names it in messages. @throws BonafideError `invalid_argument` with every problem and its line. */
export async function convertConfig(
  file: string,
  source: string,
  schema: z.ZodType,
  translation: SpireTranslation,
): Promise<ConvertedConfig> {
  if (configForm(file, source) === 'own') {
    throw invalidArgument(
      `${file} is no file of SPIRE; expected HCL in a .conf or .hcl file, or SPIRE's JSON`,
    );
  }
  const options = { overrides: [], hints: [], warn: undefined };
  const { config: expected } = await parseSpireFile(file, source, schema, translation, options);
  const { root, changed, dropped, ignored } = await translateSpireFile(file, source, schema, translation);
  const left = ignored.map(({ path, at, why }) => `${path} (${placeText(at)}): ${why}`);
  const remarks = [
    `Converted from ${file}.`,
    ...section('Written otherwise here:', changed.map(changeText)),
    ...section('Left out, for it has no meaning here:', left),
    ...section(
      'Left out, for it says nothing:',
      dropped.map(({ path, at, why }) => `${path} (${placeText(at)}): ${why}`),
    ),
  ];
  const yaml = `${comment(remarks)}${formatYaml(root)}`;
  const differing = changedKeys(expected, parseConfig(`${file} in YAML`, yaml, schema));
  if (differing.length > 0) {
    throw new BonafideError(
      'internal',
      `${file} cannot be written as YAML without a change of ${differing.join(', ')}; please report it`,
    );
  }
  return { yaml, ignored: left };
}

/** Where it is now; what it says, where that is short. A value that moved as it is stands in the file. */
function changeText({ path, at, to }: ChangedKey): string {
  const now = to.map(({ path: own, value }) =>
    typeof value === 'object' || own.join('.') !== path
      ? own.join('.')
      : `${own.join('.')}: ${JSON.stringify(value)}`,
  );
  return `${path} (${placeText(at)}): ${now.length === 0 ? 'as it is without it' : `now ${now.join(', ')}`}`;
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];
}

function comment(lines: readonly string[]): string {
  return `${lines.map((line) => `# ${line.replace(/\s+/g, (space) => (space.includes('\n') ? ' ' : space))}`).join('\n')}\n`;
}
