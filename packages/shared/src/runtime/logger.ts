/** Structured logs through pino: JSON or text lines, secrets never among the fields. */
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';

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

export function createLogger(options: LoggerOptions): Logger {
  const sink = pino.destination({ dest: options.file ?? 2, sync: true, mkdir: false });
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
