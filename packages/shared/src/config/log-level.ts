/** A log level of a configuration file. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { LOG_LEVELS, type LogLevel } from '../runtime/logger.js';
import { parsedString } from './parsed-string.js';

export const logLevelSchema = parsedString(parseLogLevel, 'DEBUG, INFO, WARN or ERROR');

/** SPIRE writes them in capitals, and logrus knows two that pino does not. */
function parseLogLevel(text: string): LogLevel {
  const lower = text.toLowerCase();
  const level = { warning: 'warn', panic: 'fatal' }[lower] ?? lower;
  const known = LOG_LEVELS.find((candidate) => candidate === level);
  if (known === undefined) {
    throw invalidArgument(`${JSON.stringify(text)} is no log level; expected DEBUG, INFO, WARN or ERROR`);
  }
  return known;
}
