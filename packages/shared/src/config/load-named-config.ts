/** The configuration that a command line names, or that lies where it usually does, in either form; the same for every program. */
import type { z } from 'zod';
import type { CommandHost } from '../cli/command-host.js';
import { findConfigFile } from './config-path.js';
import { loadConfig, type LoadConfigOptions } from './load-config.js';

export interface NamedConfigOptions<S extends z.ZodType> extends Required<
  Pick<LoadConfigOptions, 'overrides' | 'spire' | 'warn'>
> {
  readonly schema: S;
  /** Ours, or SPIRE's. */
  readonly defaultPaths: readonly [string, ...string[]];
}

interface NamedConfigFlags {
  /** Undefined: where it usually is. */
  readonly config?: string;
  readonly expandEnv?: boolean;
}

/** @throws BonafideError as `loadConfig`. */
export async function loadNamedConfig<S extends z.ZodType>(
  { config, expandEnv }: NamedConfigFlags,
  { environment }: Pick<CommandHost, 'environment'>,
  { schema, defaultPaths, ...options }: NamedConfigOptions<S>,
): Promise<z.output<S>> {
  const path = config ?? (await findConfigFile(defaultPaths));
  return loadConfig(path, schema, { ...options, environment: expandEnv === true ? environment : undefined });
}
