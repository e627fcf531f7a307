/** The flags of `run` and `validate`: the configuration file, and values that win over what it says. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { switchOption } from '@bonafide/shared/cli/option-values';
import type { Command } from 'commander';
import type { OidcConfig } from '../configuration/oidc-config.js';

export interface ConfigFlags {
  readonly config: string;
  readonly expandEnv?: boolean;
  readonly logLevel?: string;
}

const DEFAULT_CONFIG_PATH = 'oidc-discovery-provider.yaml';

export function addConfigFlags(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file, YAML or JSON', DEFAULT_CONFIG_PATH)
    .addOption(
      switchOption('--expand-env', 'replaces $NAME and ${NAME} in the file by environment variables'),
    )
    .option('--log-level <level>', 'wins over log_level');
}

/** @throws BonafideError `invalid_argument` listing every problem, or `not_found`. */
export async function loadOidcConfig(flags: ConfigFlags, host: CommandHost): Promise<OidcConfig> {
  const [{ loadConfig }, { oidcConfigSchema }] = await Promise.all([
    import('@bonafide/shared/config/load-config'),
    import('../configuration/oidc-config.js'),
  ]);
  const { logLevel } = flags;
  return loadConfig(flags.config, oidcConfigSchema, {
    overrides: logLevel === undefined ? [] : [{ path: ['log_level'], value: logLevel, flag: '--log-level' }],
    environment: flags.expandEnv === true ? host.environment : undefined,
  });
}
