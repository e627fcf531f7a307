/** Reads a configuration file (YAML, and so JSON too) against a schema, telling every problem at once with its place. */
import { readFile, stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { LineCounter, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { BonafideError, errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import { withOverrides, type ConfigOverride } from './config-override.js';
import { configError, type ConfigProblem } from './config-problem.js';
import { expandEnvironment } from './expand-environment.js';
import { nearestNode } from './problem-node.js';
import { schemaProblems, type SchemaProblem } from './schema-problems.js';

export interface LoadConfigOptions {
  /** Present: `$NAME` and `${NAME}` in the file are replaced from it first. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly overrides?: readonly ConfigOverride[] | undefined;
}

const LARGEST_FILE_BYTES = 1024 * 1024;
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
  return parseConfig(path, await readConfigFile(path), schema, options);
}

/** The same for text that is already here. @param file names it in messages. */
export function parseConfig<S extends z.ZodType>(
  file: string,
  source: string,
  schema: S,
  options: LoadConfigOptions = {},
): z.output<S> {
  const expansion =
    options.environment === undefined
      ? { text: source, unset: [] }
      : expandEnvironment(source, options.environment);
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

async function readConfigFile(path: string): Promise<string> {
  if (['.conf', '.hcl'].includes(extname(path).toLowerCase())) {
    throw invalidArgument(
      `${path} looks like SPIRE's HCL format, which is not read yet; write the same keys as YAML or JSON in a .yaml or .json file`,
    );
  }
  try {
    const { size } = await stat(path);
    if (size > LARGEST_FILE_BYTES) {
      throw invalidArgument(
        `${path} is larger than ${LARGEST_FILE_BYTES} bytes; is it the configuration file?`,
      );
    }
    return decodeUtf8(path, await readFile(path));
  } catch (error) {
    if (error instanceof BonafideError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new BonafideError(
        'not_found',
        `there is no configuration file ${resolve(path)}; name it with --config`,
        { cause: error },
      );
    }
    throw new BonafideError('invalid_argument', `cannot read ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function decodeUtf8(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalidArgument(`${path} is not UTF-8 text`, error);
  }
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
