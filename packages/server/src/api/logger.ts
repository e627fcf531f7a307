/** spire.api.server.logger.v1.Logger: reads and changes the log level of the running server. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import type { Logger, LogLevel } from '@bonafide/shared/runtime/logger';
import { callContext } from '../access/call-context.js';

const LEVELS = {
  PANIC: 'fatal', // we have one word where SPIRE has two
  FATAL: 'fatal',
  ERROR: 'error',
  WARN: 'warn',
  INFO: 'info',
  DEBUG: 'debug',
  TRACE: 'trace',
} as const satisfies Record<string, LogLevel>;

type WireLevel = keyof typeof LEVELS;

const WIRE_LEVELS: Readonly<Record<LogLevel, WireLevel>> = {
  fatal: 'FATAL',
  error: 'ERROR',
  warn: 'WARN',
  info: 'INFO',
  debug: 'DEBUG',
  trace: 'TRACE',
};

/** @param log the program's own; its level at this moment is the launch level. */
export function createLoggerHandlers(log: Logger): Handlers<'spire.api.server.logger.v1.Logger'> {
  const launchLevel = log.level;
  const answer = (): { currentLevel: WireLevel; launchLevel: WireLevel } => ({
    currentLevel: wireLevel(log.level),
    launchLevel: wireLevel(launchLevel),
  });
  return {
    GetLogger: unaryHandler(callContext, () => Promise.resolve(answer())),

    SetLogLevel: unaryHandler(callContext, ({ newLevel }, _call, context) => {
      if (newLevel === 'UNSPECIFIED') throw invalidArgument('newLevel value cannot be LogLevel_UNSPECIFIED');
      const level = (LEVELS as Readonly<Record<string, LogLevel | undefined>>)[newLevel];
      if (level === undefined) throw invalidArgument('unsupported log level');
      log.level = level;
      context.log.info({ new_log_level: level }, 'SetLogLevel Called');
      return Promise.resolve(answer());
    }),

    ResetLogLevel: unaryHandler(callContext, (_request, _call, context) => {
      log.level = launchLevel;
      context.log.info({ launch_log_level: launchLevel }, 'ResetLogLevel Called');
      return Promise.resolve(answer());
    }),
  };
}

function wireLevel(level: string): WireLevel {
  const known = (WIRE_LEVELS as Readonly<Record<string, WireLevel | undefined>>)[level];
  if (known === undefined) throw new BonafideError('internal', `the log level is ${level}`);
  return known;
}
