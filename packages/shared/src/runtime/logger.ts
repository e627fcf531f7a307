/** Structured logs through pino: JSON or text lines, secrets never among the fields. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import { logFields, REDACTED } from './log-fields.js';
import { logTextLine } from './log-text.js';
import { RecentLines } from './recent-lines.js';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type Logger = PinoLogger;

export interface LoggerOptions {
  readonly level: LogLevel;
  /** `json`: one object a line; `text`: `time=… level=… msg=… key=value`. Both as SPIRE writes them. */
  readonly format: 'json' | 'text';
  /** A file to append to; standard error when absent, so that standard output stays a program's answer. */
  readonly file?: string | undefined;
}

/** As logrus, and so SPIRE, calls them. */
const LEVEL_NAMES: ReadonlyMap<string, string> = new Map([['warn', 'warning']]);
/** Lines that cannot be written wait until they can; beyond this, new ones are dropped. */
const MOST_WAITING_BYTES = 256 * 1024;

const SINKS = new WeakMap<Logger, ReturnType<typeof pino.destination>>();
/** Warnings and worse, as JSON, of each log. */
const PROBLEMS = new WeakMap<Logger, RecentLines>();
/** Asks pino to note the level of each line before it is written. */
const WITH_LEVEL = Symbol.for('pino.metadata');
const { warn: LEVEL_WARN = 0 } = pino.levels.values;

/** @throws BonafideError `failed_precondition` when the file cannot be opened. A log that later cannot be written stops nobody. */
export function createLogger(options: LoggerOptions): Logger {
  const sink = openSink(options.file);
  const problems = new RecentLines();
  const destination = rememberingProblems(problems, (line) => {
    sink.write(options.format === 'json' ? line : logTextLine(line));
  });
  const log = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      errorKey: 'error',
      formatters: { level: (label) => ({ level: LEVEL_NAMES.get(label) ?? label }), log: logFields },
      // For what a child is given; of a line, `logFields` has taken them away already.
      redact: { paths: ['token', 'joinToken', 'privateKey', 'key', 'csr'], censor: REDACTED },
    },
    destination,
  );
  SINKS.set(log, sink);
  PROBLEMS.set(log, problems);
  return log;
}

/** The last warnings and errors, one JSON object a line. @param log as `createLogger` made it; of others nothing is known. */
export function recentProblems(log: Logger): RecentLines {
  return PROBLEMS.get(log) ?? new RecentLines();
}

function rememberingProblems(problems: RecentLines, write: (line: string) => void): DestinationStream {
  const destination = {
    [WITH_LEVEL]: true,
    lastLevel: 0,
    write: (line: string) => {
      if (destination.lastLevel >= LEVEL_WARN) problems.add(line);
      write(line);
    },
  };
  return destination;
}

/**
 * Opens the file of the log anew, after somebody has moved it away; from then on lines go to `file`. Nothing for standard error.
 * @throws BonafideError `failed_precondition` when it cannot be opened, and the old one stays.
 */
export function prepareLogFile(log: Logger, file: string | undefined): () => void {
  const sink = SINKS.get(log);
  if (sink === undefined || file === undefined) return () => undefined;
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw cannotOpen(file, error);
  }
  return () => {
    sink.reopen(file);
  };
}

function openSink(file: string | undefined): ReturnType<typeof pino.destination> {
  try {
    const settings = { dest: file ?? 2, sync: true, mkdir: false, maxLength: MOST_WAITING_BYTES };
    const sink = pino.destination(settings);
    let isFailing = false;
    sink.on('write', () => {
      isFailing = false;
    });
    sink.on('error', (error: unknown) => {
      if (!isFailing && file !== undefined)
        sayOnce(`cannot write the log_file ${file}: ${errorMessage(error)}`);
      isFailing = true;
    });
    return sink;
  } catch (error) {
    throw cannotOpen(file, error);
  }
}

function cannotOpen(file: string | undefined, error: unknown): BonafideError {
  return new BonafideError(
    'failed_precondition',
    `cannot open the log_file ${file ?? 'standard error'}: ${errorMessage(error)}; expected a file that this user may write, in a folder that is there`,
    { cause: error },
  );
}

function sayOnce(text: string): void {
  try {
    writeSync(2, `${text}\n`);
  } catch {
    // There is nobody left to tell, and the service matters more than its log.
  }
}

export const silentLogger: Logger = pino({ level: 'silent' });
