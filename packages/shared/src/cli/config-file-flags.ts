/** The flags that `run` and `validate` of every program have: where the configuration is, and how to log. */
import type { Command } from 'commander';
import type { ConfigOverride } from '../config/config-override.js';
import type { CommandHost } from './command-host.js';
import { suggestingOption, switchOption } from './option-values.js';
import { ignoredSwitch } from './spire-only-flags.js';

export interface ConfigFileFlags {
  /** Undefined: where it usually is. */
  readonly config?: string;
  readonly expandEnv?: boolean;
}

export interface LogFlags {
  readonly logLevel?: string;
  readonly logFormat?: string;
  readonly logFile?: string;
}

/** A flag whose value wins over a key of the file. */
interface OverridingFlag<Name extends string> {
  readonly name: Name;
  /** As it is typed, for example `--log-level`. */
  readonly flag: string;
  readonly key: string;
}

/** Those of `LogFlags`. */
export const LOG_OVERRIDES = [
  { name: 'logLevel', flag: '--log-level', key: 'log_level' },
  { name: 'logFormat', flag: '--log-format', key: 'log_format' },
  { name: 'logFile', flag: '--log-file', key: 'log_file' },
] as const satisfies readonly OverridingFlag<keyof LogFlags>[];

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'];

/** @param defaultPaths where the file usually is: ours, then SPIRE's. */
export function addConfigFileFlags(command: Command, defaultPaths: readonly string[]): Command {
  return command
    .option(
      '--config <file>',
      `configuration file: YAML, JSON, or SPIRE's HCL; ${defaultPaths.join(' or ')} unless given`,
    )
    .addOption(
      switchOption('--expand-env', 'replaces $NAME and ${NAME} in the file by environment variables'),
    );
}

/** @param section of the configuration file that the keys are in, with a dot; empty at the top. */
export function addLogLevelFlag(command: Command, section: string): Command {
  return command.addOption(suggestingOption('--log-level <level>', `wins over ${section}log_level`, LEVELS));
}

/** @param section as for `addLogLevelFlag`. */
export function addLogFlags(command: Command, section: string): Command {
  return addLogLevelFlag(command, section)
    .addOption(suggestingOption('--log-format <format>', `wins over ${section}log_format`, ['text', 'json']))
    .option('--log-file <file>', `wins over ${section}log_file`)
    .addOption(ignoredSwitch('--log-source-location'));
}

/** @param section of the configuration file that the keys are in: its path. */
export function overridesOf<Name extends string>(
  flags: Readonly<Partial<Record<Name, unknown>>>,
  section: readonly string[],
  table: readonly OverridingFlag<Name>[],
): readonly ConfigOverride[] {
  return table.flatMap(({ name, flag, key }) => {
    const value = flags[name];
    return value === undefined ? [] : [{ path: [...section, key], value, flag }];
  });
}

/** Tells of what SPIRE's file says and has no meaning here. */
export function warnOnTerminal({ stderr }: Pick<CommandHost, 'stderr'>): (text: string) => void {
  return (text) => {
    stderr.write(`Warning: ${text}\n`);
  };
}
