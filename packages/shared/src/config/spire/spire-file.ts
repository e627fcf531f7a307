/** Reads a configuration file of SPIRE, in HCL or in its JSON form, as the schema of ours. */
import type { z } from 'zod';
import { configError, type ConfigProblem } from '../config-problem.js';
import { withOverrides, type ConfigOverride } from '../config-override.js';
import { parseHclJson } from '../hcl/hcl-json.js';
import { HclSyntaxError, placeText, type HclGroup } from '../hcl/hcl-tree.js';
import { parseHcl } from '../hcl/parse-hcl.js';
import { schemaProblems } from '../schema-problems.js';
import { withPluginData } from './plugin-data-files.js';
import type { SpireTranslation } from './spire-rules.js';
import { translateSpire, type Translated } from './translate-spire.js';
import type { IgnoredKey } from './translation.js';

export interface SpireFileOptions {
  readonly overrides: readonly ConfigOverride[];
  /** What else is wrong, told only beside other problems. */
  readonly hints: readonly ConfigProblem[];
  /** Told once, of all keys that have no meaning here. */
  readonly warn: ((text: string) => unknown) | undefined;
}

export interface ParsedFile<T> {
  readonly config: T;
  /** Where a key of `config`, dotted, was read: the file itself or a `plugin_data_file`. */
  readonly fileOf: (key: string) => string;
}

/** @throws BonafideError `invalid_argument` with every problem and its line. */
export async function parseSpireFile<S extends z.ZodType>(
  file: string,
  source: string,
  schema: S,
  translation: SpireTranslation,
  { overrides, hints, warn }: SpireFileOptions,
): Promise<ParsedFile<z.output<S>>> {
  const translated = await translateFile(file, source, schema, translation);
  const root = withOverrides(translated.root, overrides);
  const result = schema.safeParse(root);
  const problems = [
    ...translated.problems,
    ...(result.success
      ? []
      : schemaProblems(schema, result.error.issues, root).map(({ path, message }) =>
          located(path, message, translated, overrides),
        )),
  ];
  if (!result.success || problems.length > 0) throw configError(file, [...withoutEchoes(problems), ...hints]);
  if (translated.ignored.length > 0) warn?.(ignoredText(file, translated.ignored));
  return { config: result.data, fileOf: (key) => translated.placeOf(key.split('.'))?.file ?? file };
}

/** What our own file would say. @throws BonafideError `invalid_argument` for what cannot be translated. */
export async function translateSpireFile(
  file: string,
  source: string,
  schema: z.ZodType,
  translation: SpireTranslation,
): Promise<Pick<Translated, 'root' | 'ignored' | 'dropped' | 'changed'>> {
  const translated = await translateFile(file, source, schema, translation);
  if (translated.problems.length > 0) throw configError(file, translated.problems);
  return translated;
}

function ignoredText(file: string, ignored: readonly IgnoredKey[]): string {
  const keys = ignored.map(({ path, at, why }) => `${path} (${placeText(at)}: ${why})`);
  return `${file}: ${keys.length === 1 ? 'one key has' : `${keys.length} keys have`} no meaning here and ${keys.length === 1 ? 'was' : 'were'} left out: ${keys.join('; ')}`;
}

async function translateFile(
  file: string,
  source: string,
  schema: z.ZodType,
  translation: SpireTranslation,
): Promise<Translated> {
  const tree = await readTree(file, source);
  if (translation.plugins === undefined) return translateSpire(tree, schema, translation);
  const { root, problems } = await withPluginData(tree, readTree);
  const translated = translateSpire(root, schema, translation);
  return { ...translated, problems: [...problems, ...translated.problems] };
}

/** SPIRE too takes what begins with a brace as JSON. */
async function readTree(file: string, source: string): Promise<HclGroup> {
  try {
    return /^\s*\{/.test(source) ? parseHclJson(source) : await parseHcl(source);
  } catch (error) {
    if (!(error instanceof HclSyntaxError)) throw error;
    throw configError(file, [{ position: error.at, path: '', message: error.message }], error);
  }
}

function located(
  path: readonly PropertyKey[],
  message: string,
  translated: Translated,
  overrides: readonly ConfigOverride[],
): ConfigProblem {
  const name = path.map(String).join('.');
  const override = overrides.find((candidate) => candidate.path.join('.') === name);
  if (override !== undefined) return { position: undefined, path: override.flag, message };
  return { position: translated.placeOf(path), path: name, message };
}

/** A key that was refused is not told to be missing as well. */
function withoutEchoes(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const told = new Set<string>();
  return problems.filter(({ path }) => {
    if (path !== '' && told.has(path)) return false;
    told.add(path);
    return true;
  });
}
