/** Structured logs through pino: JSON or text lines, secrets never among the fields. */
import { writeSync } from 'node:fs';
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type Logger = PinoLogger;

export interface LoggerOptions {
  readonly level: LogLevel;
  /** `json`: one object a line; `text`: `time LEVEL message key=value`. */
  readonly format: 'json' | 'text';
  /** A file to append to; standard error when absent, so that standard output stays a program's answer. */
  readonly file?: string | undefined;
}

/** Lines that cannot be written wait until they can; beyond this, new ones are dropped. */
const MOST_WAITING_BYTES = 256 * 1024;

/** @throws BonafideError `failed_precondition` when the file cannot be opened. A log that later cannot be written stops nobody. */
export function createLogger(options: LoggerOptions): Logger {
  const sink = openSink(options.file);
  const destination: DestinationStream =
    options.format === 'json' ? sink : { write: (line) => sink.write(textLine(line)) };
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // The names under which a secret could be logged by mistake; the audit of call sites is the first line of defence.
      redact: {
        paths: ['token', 'joinToken', 'privateKey', 'key', 'csr', '*.privateKey', '*.token'],
        censor: '[redacted]',
      },
    },
    destination,
  );
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
    throw new BonafideError(
      'failed_precondition',
      `cannot open the log_file ${file ?? 'standard error'}: ${errorMessage(error)}; expected a file that this user may write, in a folder that is there`,
      { cause: error },
    );
  }
}

function sayOnce(text: string): void {
  try {
    writeSync(2, `${text}\n`);
  } catch {
    // There is nobody left to tell, and the service matters more than its log.
  }
}

export const silentLogger: Logger = pino({ level: 'silent' });

function textLine(line: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${textValue(value)}`);
  const error =
    err === undefined ? [] : [`error=${textValue((err as { message?: unknown }).message ?? err)}`];
  return (
    [String(time), String(level).toUpperCase().padEnd(5), textValue(msg ?? '', true), ...rest, ...error].join(
      ' ',
    ) + '\n'
  );
}

function textValue(value: unknown, bare = false): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return bare || /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
