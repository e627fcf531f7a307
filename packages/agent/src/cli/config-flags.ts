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
import {
  integerBetween,
  suggestingOption,
  switchOption,
  valueOption,
} from '@bonafide/shared/cli/option-values';
import type { ConfigOverride } from '@bonafide/shared/config/config-override';
import type { Command } from 'commander';
import type { ApiName } from '../apis/api-switches.js';
import type { AgentConfig, AgentConfigKey } from '../configuration/agent-config.js';

export interface ConfigFlags extends ConfigFileFlags, LogFlags {
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
  readonly allowUnauthenticatedVerifiers?: boolean;
  readonly disableSdsApi?: boolean;
  readonly disableWorkloadApi?: boolean;
}

/** Ours, or SPIRE's. */
const DEFAULT_CONFIG_PATHS = ['conf/agent/agent.yaml', 'conf/agent/agent.conf'] as const;

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
  {
    name: 'allowUnauthenticatedVerifiers',
    flag: '--allow-unauthenticated-verifiers',
    key: 'allow_unauthenticated_verifiers',
  },
  ...LOG_OVERRIDES,
] as const satisfies readonly { name: keyof ConfigFlags; flag: string; key: AgentConfigKey }[];

export function addConfigFlags(command: Command): Command {
  addConfigFileFlags(command, DEFAULT_CONFIG_PATHS);
  command
    .option('--join-token <token>', "proves this node once; made by 'bonafide-server token generate'")
    .option('--join-token-file <file>', 'a file that holds the join token')
    .option('--server-address <host>', 'wins over agent.server_address')
    .addOption(valueOption('--server-port <port>', 'wins over agent.server_port', integerBetween(1, 65_535)))
    .option('--trust-domain <name>', 'wins over agent.trust_domain')
    .option('--trust-bundle <file>', 'wins over agent.trust_bundle_path')
    .option('--trust-bundle-url <url>', 'wins over agent.trust_bundle_url')
    .addOption(
      suggestingOption(
        '--trust-bundle-format <format>',
        'pem or spiffe; wins over agent.trust_bundle_format',
        ['pem', 'spiffe'],
      ),
    )
    .addOption(
      switchOption('--insecure-bootstrap', 'believes whatever server answers first; for trials only'),
    )
    .addOption(
      suggestingOption(
        '--rebootstrap-mode <mode>',
        'never, auto or always; wins over agent.rebootstrap_mode',
        ['never', 'auto', 'always'],
      ),
    )
    .option('--rebootstrap-delay <duration>', 'wins over agent.rebootstrap_delay')
    .option('--socket-path <path>', 'wins over agent.socket_path')
    .option('--data-dir <directory>', 'wins over agent.data_dir')
    .addOption(
      switchOption('--allow-unauthenticated-verifiers', 'wins over agent.allow_unauthenticated_verifiers'),
    )
    .addOption(switchOption('--disable-sds-api', 'switches agent.apis.sds off'))
    .addOption(
      switchOption('--disable-workload-api', 'switches agent.apis.x509, jwt, validate_jwt and wit off'),
    );
  return addLogFlags(command, 'agent.');
}

/** @throws BonafideError `invalid_argument` listing every problem, or `not_found`. */
export async function loadAgentConfig(
  flags: ConfigFlags,
  host: CommandHost,
  /** Told once of what SPIRE's file says and has no meaning here. */
  warn: (text: string) => void = warnOnTerminal(host),
): Promise<AgentConfig> {
  const [{ loadNamedConfig }, { agentConfigSchema }, { agentTranslation }] = await Promise.all([
    import('@bonafide/shared/config/load-named-config'),
    import('../configuration/agent-config.js'),
    import('../configuration/spire/agent-translation.js'),
  ]);
  return loadNamedConfig(flags, host, {
    schema: agentConfigSchema,
    spire: agentTranslation,
    defaultPaths: DEFAULT_CONFIG_PATHS,
    overrides: [...overridesOf(flags, ['agent'], OVERRIDES), ...switchedOff(flags)],
    warn,
  });
}

/** What switches whole APIs off; given as false it leaves them to the file. */
const API_SWITCHES = [
  { name: 'disableSdsApi', flag: '--disable-sds-api', apis: ['sds'] },
  {
    name: 'disableWorkloadApi',
    flag: '--disable-workload-api',
    apis: ['x509', 'jwt', 'validate_jwt', 'wit'],
  },
] as const satisfies readonly { name: keyof ConfigFlags; flag: string; apis: readonly ApiName[] }[];

function switchedOff(flags: ConfigFlags): readonly ConfigOverride[] {
  return API_SWITCHES.filter(({ name }) => flags[name] === true).flatMap(({ flag, apis }) =>
    apis.map((api) => ({ path: ['agent', 'apis', api], value: false, flag })),
  );
}
