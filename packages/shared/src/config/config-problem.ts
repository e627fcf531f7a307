/** One thing that is wrong in a configuration file, and how a list of them is told to the operator. */
import { BonafideError } from '../errors/bonafide-error.js';

export interface ConfigProblem {
  /** 1-based; undefined when the problem is not at a place in the file (a flag on the command line, a file that is missing). */
  readonly position:
    | {
        readonly line: number;
        readonly column: number;
        /** Present: another file than the one that is read, which names it. */
        readonly file?: string;
      }
    | undefined;
  /** Dotted, for example `server.bind_port`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
}

/** One line each, `file:line:column: path: message`, in the order of the file. */
function describeProblems(file: string, problems: readonly ConfigProblem[]): string {
  const lines = problems
    .toSorted((a, b) => comparePositions(a.position, b.position))
    .map(({ position, path, message }) => {
      const place =
        position === undefined ? file : `${position.file ?? file}:${position.line}:${position.column}`;
      return `${place}: ${path === '' ? '' : `${path}: `}${message}`;
    });
  const [only] = lines;
  if (lines.length === 1 && only !== undefined) return only;
  return [`${file} has ${lines.length} problems`, ...lines.map((line) => `  ${line}`)].join('\n');
}

export function configError(
  file: string,
  problems: readonly ConfigProblem[],
  cause?: unknown,
): BonafideError {
  return new BonafideError('invalid_argument', describeProblems(file, problems), { cause });
}

function comparePositions(a: ConfigProblem['position'], b: ConfigProblem['position']): number {
  return (
    compareFiles(a?.file ?? '', b?.file ?? '') ||
    (a?.line ?? 0) - (b?.line ?? 0) ||
    (a?.column ?? 0) - (b?.column ?? 0)
  );
}

/** What stands in the configuration file itself comes first. */
function compareFiles(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
