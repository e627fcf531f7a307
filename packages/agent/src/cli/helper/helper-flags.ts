/** The flags of `helper`: a file, or what would stand in it in the common case. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import type { HelperFile } from '../../helper/helper-config.js';
import type { SocketFlags } from '../workload-socket.js';

export interface HelperFlags extends SocketFlags {
  readonly config?: string;
  readonly certDir?: string;
  readonly spiffeId?: string;
  readonly hint?: string;
  readonly owner?: string;
  readonly group?: string;
  readonly pidFile?: string;
  readonly renewSignal?: string;
  readonly reloadUnit?: string;
  readonly includeFederatedDomains?: boolean;
  readonly restart?: boolean;
  readonly once?: boolean;
  readonly logLevel: string;
  readonly logFormat: string;
}

/** What stands in a file under another name. */
const KEYS = {
  certDir: 'cert_dir',
  spiffeId: 'spiffe_id',
  hint: 'hint',
  owner: 'owner',
  group: 'group',
  pidFile: 'pid_file_name',
  renewSignal: 'renew_signal',
  includeFederatedDomains: 'include_federated_domains',
  restart: 'cmd_restart',
} as const satisfies Partial<Record<keyof HelperFlags, string>>;

export function outputLogFlags(command: Command): Command {
  return command
    .option('--log-level <level>', 'DEBUG, INFO, WARN or ERROR', 'INFO')
    .option('--log-format <format>', 'text or json', 'text');
}

/** @throws BonafideError `invalid_argument` listing every problem, or `not_found`. */
export async function loadHelperFile(flags: HelperFlags, cmd: readonly string[]): Promise<HelperFile> {
  const [{ loadConfig, parseConfig }, { helperFileSchema }] = await Promise.all([
    import('@bonafide/shared/config/load-config'),
    import('../../helper/helper-config.js'),
  ]);
  const own = ownFile(flags, cmd);
  if (flags.config === undefined) {
    if (flags.certDir === undefined) throw invalidArgument('expected --config FILE, or --cert-dir DIRECTORY');
    return parseConfig('the flags', JSON.stringify(own), helperFileSchema);
  }
  const given = Object.keys(own).filter((key) => key !== 'daemon_mode');
  if (given.length > 0) {
    throw invalidArgument(
      `--config names a file with all there is to say; expected ${given.join(', ')} in it`,
    );
  }
  const file = await loadConfig(flags.config, helperFileSchema);
  if (flags.once === true && file.child !== undefined)
    throw invalidArgument('--once cannot be used with cmd');
  return flags.once === true ? { ...file, isDaemon: false } : file;
}

function ownFile(flags: HelperFlags, cmd: readonly string[]): Record<string, unknown> {
  const values = Object.entries(KEYS).map(([flag, key]) => [key, flags[flag as keyof typeof KEYS]] as const);
  const [program, ...args] = cmd;
  const keys: readonly (readonly [string, unknown])[] = [
    ...values,
    ['on_change', flags.reloadUnit === undefined ? undefined : { systemd_unit: flags.reloadUnit }],
    ['cmd', program],
    ['cmd_args', args.length === 0 ? undefined : args],
    ['key_file_mode', flags.group === undefined ? undefined : '0640'],
    ['daemon_mode', flags.once === true ? false : undefined],
  ];
  return Object.fromEntries(keys.filter(([, value]) => value !== undefined));
}
