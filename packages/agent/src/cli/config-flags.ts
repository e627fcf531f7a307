/** The flags of `run` and `validate`: the configuration file, and values that win over what it says. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { integerBetween, switchOption, valueOption } from '@bonafide/shared/cli/option-values';
import type { ConfigOverride } from '@bonafide/shared/config/config-override';
import type { Command } from 'commander';
import type { AgentConfig, AgentConfigKey } from '../configuration/agent-config.js';

export interface ConfigFlags {
  readonly config: string;
  readonly expandEnv?: boolean;
  readonly trustDomain?: string;
  readonly serverAddress?: string;
  readonly serverPort?: number;
  readonly socketPath?: string;
  readonly dataDir?: string;
  readonly joinToken?: string;
  readonly joinTokenFile?: string;
  readonly trustBundle?: string;
  readonly trustBundleUrl?: string;
  readonly trustBundleFormat?: string;
  readonly insecureBootstrap?: boolean;
  readonly rebootstrapMode?: string;
  readonly rebootstrapDelay?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
  readonly logFile?: string;
}

const DEFAULT_CONFIG_PATH = 'conf/agent/agent.yaml';

const OVERRIDES = [
  { name: 'trustDomain', flag: '--trust-domain', key: 'trust_domain' },
  { name: 'serverAddress', flag: '--server-address', key: 'server_address' },
  { name: 'serverPort', flag: '--server-port', key: 'server_port' },
  { name: 'socketPath', flag: '--socket-path', key: 'socket_path' },
  { name: 'dataDir', flag: '--data-dir', key: 'data_dir' },
  { name: 'joinToken', flag: '--join-token', key: 'join_token' },
  { name: 'joinTokenFile', flag: '--join-token-file', key: 'join_token_file' },
  { name: 'trustBundle', flag: '--trust-bundle', key: 'trust_bundle_path' },
  { name: 'trustBundleUrl', flag: '--trust-bundle-url', key: 'trust_bundle_url' },
  { name: 'trustBundleFormat', flag: '--trust-bundle-format', key: 'trust_bundle_format' },
  { name: 'insecureBootstrap', flag: '--insecure-bootstrap', key: 'insecure_bootstrap' },
  { name: 'rebootstrapMode', flag: '--rebootstrap-mode', key: 'rebootstrap_mode' },
  { name: 'rebootstrapDelay', flag: '--rebootstrap-delay', key: 'rebootstrap_delay' },
  { name: 'logLevel', flag: '--log-level', key: 'log_level' },
  { name: 'logFormat', flag: '--log-format', key: 'log_format' },
  { name: 'logFile', flag: '--log-file', key: 'log_file' },
] as const satisfies readonly { name: keyof ConfigFlags; flag: string; key: AgentConfigKey }[];

export function addConfigFlags(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file, YAML or JSON', DEFAULT_CONFIG_PATH)
    .addOption(
      switchOption('--expand-env', 'replaces $NAME and ${NAME} in the file by environment variables'),
    )
    .option('--join-token <token>', "proves this node once; made by 'bonafide-server token generate'")
    .option('--join-token-file <file>', 'a file that holds the join token')
    .option('--server-address <host>', 'wins over agent.server_address')
    .addOption(valueOption('--server-port <port>', 'wins over agent.server_port', integerBetween(1, 65_535)))
    .option('--trust-domain <name>', 'wins over agent.trust_domain')
    .option('--trust-bundle <file>', 'wins over agent.trust_bundle_path')
    .option('--trust-bundle-url <url>', 'wins over agent.trust_bundle_url')
    .option('--trust-bundle-format <format>', 'pem or spiffe; wins over agent.trust_bundle_format')
    .addOption(
      switchOption('--insecure-bootstrap', 'believes whatever server answers first; for trials only'),
    )
    .option('--rebootstrap-mode <mode>', 'never, auto or always; wins over agent.rebootstrap_mode')
    .option('--rebootstrap-delay <duration>', 'wins over agent.rebootstrap_delay')
    .option('--socket-path <path>', 'wins over agent.socket_path')
    .option('--data-dir <directory>', 'wins over agent.data_dir')
    .option('--log-level <level>', 'wins over agent.log_level')
    .option('--log-format <format>', 'wins over agent.log_format')
    .option('--log-file <file>', 'wins over agent.log_file');
}

/** @throws BonafideError `invalid_argument` listing every problem, or `not_found`. */
export async function loadAgentConfig(flags: ConfigFlags, host: CommandHost): Promise<AgentConfig> {
  const [{ loadConfig }, { agentConfigSchema }] = await Promise.all([
    import('@bonafide/shared/config/load-config'),
    import('../configuration/agent-config.js'),
  ]);
  return loadConfig(flags.config, agentConfigSchema, {
    overrides: overridesOf(flags),
    environment: flags.expandEnv === true ? host.environment : undefined,
  });
}

function overridesOf(flags: ConfigFlags): readonly ConfigOverride[] {
  return OVERRIDES.flatMap(({ name, flag, key }) => {
    const value = flags[name];
    return value === undefined ? [] : [{ path: ['agent', key], value, flag }];
  });
}
