/** The flags of `run` and `validate`: the configuration file, and values that win over what it says. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import {
  addConfigFileFlags,
  addLogLevelFlag,
  warnOnTerminal,
  type ConfigFileFlags,
} from '@bonafide/shared/cli/config-file-flags';
import type { Command } from 'commander';
import type { OidcConfig } from '../configuration/oidc-config.js';

export interface ConfigFlags extends ConfigFileFlags {
  readonly logLevel?: string;
}

/** Ours, or SPIRE's. */
const DEFAULT_CONFIG_PATHS = ['oidc-discovery-provider.yaml', 'oidc-discovery-provider.conf'] as const;

export function addConfigFlags(command: Command): Command {
  return addLogLevelFlag(addConfigFileFlags(command, DEFAULT_CONFIG_PATHS), '');
}

/** @throws BonafideError `invalid_argument` listing every problem, or `not_found`. */
export async function loadOidcConfig(
  flags: ConfigFlags,
  host: CommandHost,
  /** Told once of what SPIRE's file says and has no meaning here. */
  warn: (text: string) => void = warnOnTerminal(host),
): Promise<OidcConfig> {
  const [{ loadNamedConfig }, { oidcConfigSchema }, { oidcTranslation }] = await Promise.all([
    import('@bonafide/shared/config/load-named-config'),
    import('../configuration/oidc-config.js'),
    import('../configuration/spire/oidc-translation.js'),
  ]);
  const { logLevel } = flags;
  return loadNamedConfig(flags, host, {
    schema: oidcConfigSchema,
    spire: oidcTranslation,
    defaultPaths: DEFAULT_CONFIG_PATHS,
    overrides: logLevel === undefined ? [] : [{ path: ['log_level'], value: logLevel, flag: '--log-level' }],
    warn,
  });
}
