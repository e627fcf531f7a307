/** Reads a configuration file (YAML or JSON, or SPIRE's HCL) against a schema, telling every problem at once with its place. */
import { constants } from 'node:fs';
import { stat } from 'node:fs/promises';
import { LineCounter, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import { withOverrides, type ConfigOverride } from './config-override.js';
import { configForm } from './config-form.js';
import { configError, type ConfigProblem } from './config-problem.js';
import { secretKeysIn } from './exposed-secrets.js';
import { expandEnvironment, type Expansion } from './expand-environment.js';
import { nearestNode } from './problem-node.js';
import { readConfigFile } from './read-config-file.js';
import { schemaProblems, type SchemaProblem } from './schema-problems.js';
import { parseSpireFile, type ParsedFile } from './spire/spire-file.js';
import type { SpireTranslation } from './spire/spire-rules.js';

export interface LoadConfigOptions {
  /** Present: `$NAME` and `${NAME}` in the file are replaced from it first. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly overrides?: readonly ConfigOverride[] | undefined;
  /** Present: SPIRE's own files are read too. */
  readonly spire?: SpireTranslation | undefined;
  /** Told once of what SPIRE's file says and has no meaning here, and once of secrets that everybody may read. */
  readonly warn?: ((text: string) => unknown) | undefined;
}

/** Aliases that a document may expand to; a handful is convenience, thousands are an attack on memory. */
const MOST_ALIASES = 100;

/**
 * @param schema made of strict objects, so that unknown keys are refused.
 * @throws BonafideError `invalid_argument` whose message names the file, line and column of every problem, or `not_found`.
 */
export async function loadConfig<S extends z.ZodType>(
  path: string,
  schema: S,
  options: LoadConfigOptions = {},
): Promise<z.output<S>> {
  const source = await readConfigFile(path);
  const parsed = await parseEitherForm(path, source, schema, options);
  await warnOfSecrets(parsed, options);
  return parsed.config;
}

async function warnOfSecrets(
  { config, fileOf }: ParsedFile<unknown>,
  { warn, overrides = [] }: LoadConfigOptions,
): Promise<void> {
  if (warn === undefined) return;
  const flags = new Set(overrides.map((override) => override.path.join('.')));
  const secrets = secretKeysIn(config).filter((key) => !flags.has(key));
  for (const file of new Set(secrets.map(fileOf))) {
    const { mode } = await stat(file);
    if ((mode & constants.S_IROTH) === 0) continue;
    const keys = secrets.filter((key) => fileOf(key) === file).join(', ');
    warn(`${file} holds secrets (${keys}) and everybody may read it; run chmod o-r ${file}`);
  }
}

async function parseEitherForm<S extends z.ZodType>(
  path: string,
  source: string,
  schema: S,
  options: LoadConfigOptions,
): Promise<ParsedFile<z.output<S>>> {
  if (configForm(path, source) === 'own') {
    return { config: parseConfig(path, source, schema, options), fileOf: () => path };
  }
  if (options.spire === undefined) {
    throw invalidArgument(`${path} is in SPIRE's HCL format, which is not read here; write YAML or JSON`);
  }
  const { text, unset } = expanded(source, options);
  const hints = unsetVariables(unset);
  const { overrides = [], warn } = options;
  return parseSpireFile(path, text, schema, options.spire, { overrides, hints, warn });
}

/** The same for text that is already here. @param file names it in messages. */
export function parseConfig<S extends z.ZodType>(
  file: string,
  source: string,
  schema: S,
  options: LoadConfigOptions = {},
): z.output<S> {
  const expansion = expanded(source, options);
  const lines = new LineCounter();
  const document = parseDocument(expansion.text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
  });
  const place = (offset: number): ConfigProblem['position'] => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    position: place(error.pos[0]),
    path: '',
    message: syntaxText(error.code, error.message),
  }));
  if (syntax.length > 0) throw configError(file, syntax);

  const overrides = options.overrides ?? [];
  const root = withOverrides(plainValue(file, document), overrides);
  const result = schema.safeParse(root);
  if (result.success) return result.data;
  const problems = schemaProblems(schema, result.error.issues, root).map((problem) =>
    locate(problem, document, overrides, place),
  );
  throw configError(file, [...problems, ...unsetVariables(expansion.unset)]);
}

function expanded(source: string, { environment }: LoadConfigOptions): Expansion {
  return environment === undefined ? { text: source, unset: [] } : expandEnvironment(source, environment);
}

function plainValue(file: string, document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES }) ?? {};
  } catch (error) {
    throw invalidArgument(`${file}: ${errorMessage(error)}`, error);
  }
}

function syntaxText(code: string, message: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this key is there twice in the same group';
    case 'MULTIPLE_DOCS':
      return 'a second document starts here; expected one';
    default:
      return `not valid YAML or JSON: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
  }
}

function locate(
  problem: SchemaProblem,
  document: Document,
  overrides: readonly ConfigOverride[],
  place: (offset: number) => ConfigProblem['position'],
): ConfigProblem {
  const path = problem.path.map(String).join('.');
  const override = overrides.find((candidate) => candidate.path.join('.') === path);
  if (override !== undefined) return { position: undefined, path: override.flag, message: problem.message };
  const node = nearestNode(document, problem);
  return {
    position: node?.range ? place(node.range[0]) : undefined,
    path,
    message: problem.message,
  };
}

function unsetVariables(names: readonly string[]): readonly ConfigProblem[] {
  return names.map((name) => ({
    position: undefined,
    path: '',
    message: `environment variable ${name} is not set and was taken as empty`,
  }));
}
