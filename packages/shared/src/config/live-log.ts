/** The log of a running program takes over its level, and its file is opened anew at every reload, for whoever moves it away. */
import { prepareLogFile, type Logger, type LogLevel } from '../runtime/logger.js';
import type { LivePart } from './live-config.js';

export interface LogSettings {
  readonly level: LogLevel;
  /** Undefined: standard error. */
  readonly file: string | undefined;
}

/**
 * @param settings of a configuration; @param keys those of the level and of the file.
 * A level that was set through the API stays until that of the file changes.
 */
export function liveLog<C>(
  log: Logger,
  started: C,
  settings: (config: C) => LogSettings,
  keys: { readonly level: string; readonly file: string },
): LivePart<C> {
  let before = settings(started);
  const isToStandardError = before.file === undefined;
  return {
    name: 'the log',
    keys: isToStandardError ? [keys.level] : [keys.level, keys.file],
    prepare: (next) => {
      const after = settings(next);
      const reopen = prepareLogFile(log, isToStandardError ? undefined : (after.file ?? before.file));
      return () => {
        reopen();
        if (after.level !== before.level) log.level = after.level;
        before = after;
      };
    },
  };
}
