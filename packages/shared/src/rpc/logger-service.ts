/** The Logger services of server and agent, which are alike: they read and change the log level of the running program. */
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import type { Logger, LogLevel } from '../runtime/logger.js';
import type { CallContext, ContextOf } from './call-context.js';
import { unaryHandler } from './handler.js';
import type { Handlers } from './load-service.js';

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
export function createLoggerService<Context extends CallContext>(
  log: Logger,
  contextOf: ContextOf<Context>,
): Handlers<'spire.api.server.logger.v1.Logger'> & Handlers<'spire.api.agent.logger.v1.Logger'> {
  const launchLevel = log.level;
  const answer = (): { currentLevel: WireLevel; launchLevel: WireLevel } => ({
    currentLevel: wireLevel(log.level),
    launchLevel: wireLevel(launchLevel),
  });
  return {
    GetLogger: unaryHandler(contextOf, () => Promise.resolve(answer())),

    SetLogLevel: unaryHandler(contextOf, ({ newLevel }: { readonly newLevel: string }, _call, context) => {
      if (newLevel === 'UNSPECIFIED') throw invalidArgument('newLevel value cannot be LogLevel_UNSPECIFIED');
      const level = (LEVELS as Readonly<Record<string, LogLevel | undefined>>)[newLevel];
      if (level === undefined) throw invalidArgument('unsupported log level');
      log.level = level;
      context.log.info({ new_log_level: level }, 'SetLogLevel Called');
      return Promise.resolve(answer());
    }),

    ResetLogLevel: unaryHandler(contextOf, (_request, _call, context) => {
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
