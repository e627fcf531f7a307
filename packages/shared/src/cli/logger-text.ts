/** Log levels as `logger` commands of server and agent read and print them, by the names that logrus gives them. */
import type { Logger__Output } from '../rpc/gen/spire/api/types/Logger.js';
import type { LogLevel__Output } from '../rpc/gen/spire/api/types/LogLevel.js';

export const LOGGER_LEVELS = {
  panic: 'PANIC',
  fatal: 'FATAL',
  error: 'ERROR',
  warn: 'WARN',
  warning: 'WARN',
  info: 'INFO',
  debug: 'DEBUG',
  trace: 'TRACE',
} as const;

export function loggerText({ currentLevel, launchLevel }: Logger__Output): string {
  return `Logger Level : ${levelName(currentLevel)}\nLaunch Level : ${levelName(launchLevel)}\n\n`;
}

function levelName(level: LogLevel__Output): string {
  return level === 'WARN' ? 'warning' : level.toLowerCase();
}
