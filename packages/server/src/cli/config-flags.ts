/** The flags of `run` and `validate`: the configuration file, and values that win over what it says. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { integerBetween, switchOption, valueOption } from '@bonafide/shared/cli/option-values';
import type { ConfigOverride } from '@bonafide/shared/config/config-override';
import type { Command } from 'commander';
import type { ServerConfig } from '../configuration/server-config.js';

export interface ConfigFlags {
  readonly config: string;
  readonly expandEnv?: boolean;
  readonly bindAddress?: string;
  readonly serverPort?: number;
  readonly socketPath?: string;
  readonly dataDir?: string;
  readonly trustDomain?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
  readonly logFile?: string;
}

const DEFAULT_CONFIG_PATH = 'conf/server/server.yaml';

const OVERRIDES = [
  { name: 'bindAddress', flag: '--bind-address', key: 'bind_address' },
  { name: 'serverPort', flag: '--server-port', key: 'bind_port' },
  { name: 'socketPath', flag: '--socket-path', key: 'socket_path' },
  { name: 'dataDir', flag: '--data-dir', key: 'data_dir' },
  { name: 'trustDomain', flag: '--trust-domain', key: 'trust_domain' },
  { name: 'logLevel', flag: '--log-level', key: 'log_level' },
  { name: 'logFormat', flag: '--log-format', key: 'log_format' },
  { name: 'logFile', flag: '--log-file', key: 'log_file' },
] as const satisfies readonly { name: keyof ConfigFlags; flag: string; key: keyof ServerConfig['server'] }[];

export function addConfigFlags(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file, YAML or JSON', DEFAULT_CONFIG_PATH)
    .addOption(
      switchOption('--expand-env', 'replaces $NAME and ${NAME} in the file by environment variables'),
    )
    .option('--trust-domain <name>', 'wins over server.trust_domain')
    .option('--bind-address <address>', 'wins over server.bind_address')
    .addOption(valueOption('--server-port <port>', 'wins over server.bind_port', integerBetween(0, 65_535)))
    .option('--socket-path <path>', 'wins over server.socket_path')
    .option('--data-dir <directory>', 'wins over server.data_dir')
    .option('--log-level <level>', 'wins over server.log_level')
    .option('--log-format <format>', 'wins over server.log_format')
    .option('--log-file <file>', 'wins over server.log_file');
}

/** @throws BonafideError `invalid_argument` listing every problem, or `not_found`. */
export async function loadServerConfig(flags: ConfigFlags, host: CommandHost): Promise<ServerConfig> {
  const [{ loadConfig }, { serverConfigSchema }] = await Promise.all([
    import('@bonafide/shared/config/load-config'),
    import('../configuration/server-config.js'),
  ]);
  return loadConfig(flags.config, serverConfigSchema, {
    overrides: overridesOf(flags),
    environment: flags.expandEnv === true ? host.environment : undefined,
  });
}

function overridesOf(flags: ConfigFlags): readonly ConfigOverride[] {
  return OVERRIDES.flatMap(({ name, flag, key }) => {
    const value = flags[name];
    return value === undefined ? [] : [{ path: ['server', key], value, flag }];
  });
}
