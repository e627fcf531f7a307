/** The flags of `run` and `validate`: the configuration file, and values that win over what it says. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import {
  addConfigFileFlags,
  addLogFlags,
  LOG_OVERRIDES,
  overridesOf,
  warnOnTerminal,
  type ConfigFileFlags,
  type LogFlags,
} from '@bonafide/shared/cli/config-file-flags';
import { integerBetween, valueOption } from '@bonafide/shared/cli/option-values';
import type { Command } from 'commander';
import type { ServerConfig } from '../configuration/server-config.js';

export interface ConfigFlags extends ConfigFileFlags, LogFlags {
  readonly bindAddress?: string;
  readonly serverPort?: number;
  readonly socketPath?: string;
  readonly dataDir?: string;
  readonly trustDomain?: string;
}

/** Ours, or SPIRE's. */
const DEFAULT_CONFIG_PATHS = ['conf/server/server.yaml', 'conf/server/server.conf'] as const;

const OVERRIDES = [
  { name: 'bindAddress', flag: '--bind-address', key: 'bind_address' },
  { name: 'serverPort', flag: '--server-port', key: 'bind_port' },
  { name: 'socketPath', flag: '--socket-path', key: 'socket_path' },
  { name: 'dataDir', flag: '--data-dir', key: 'data_dir' },
  { name: 'trustDomain', flag: '--trust-domain', key: 'trust_domain' },
  ...LOG_OVERRIDES,
] as const satisfies readonly { name: keyof ConfigFlags; flag: string; key: keyof ServerConfig['server'] }[];

export function addConfigFlags(command: Command): Command {
  addConfigFileFlags(command, DEFAULT_CONFIG_PATHS);
  command
    .option('--trust-domain <name>', 'wins over server.trust_domain')
    .option('--bind-address <address>', 'wins over server.bind_address')
    .addOption(valueOption('--server-port <port>', 'wins over server.bind_port', integerBetween(0, 65_535)))
    .option('--socket-path <path>', 'wins over server.socket_path')
    .option('--data-dir <directory>', 'wins over server.data_dir');
  return addLogFlags(command, 'server.');
}

/** @throws BonafideError `invalid_argument` listing every problem, or `not_found`. */
export async function loadServerConfig(
  flags: ConfigFlags,
  host: CommandHost,
  /** Told once of what SPIRE's file says and has no meaning here. */
  warn: (text: string) => void = warnOnTerminal(host),
): Promise<ServerConfig> {
  const [{ loadNamedConfig }, { serverConfigSchema }, { serverTranslation }] = await Promise.all([
    import('@bonafide/shared/config/load-named-config'),
    import('../configuration/server-config.js'),
    import('../configuration/spire/server-translation.js'),
  ]);
  return loadNamedConfig(flags, host, {
    schema: serverConfigSchema,
    spire: serverTranslation,
    defaultPaths: DEFAULT_CONFIG_PATHS,
    overrides: overridesOf(flags, ['server'], OVERRIDES),
    warn,
  });
}
