/** `run`: the provider itself, until it is told to stop. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import type { Command } from 'commander';
import { addConfigFlags, loadOidcConfig, type ConfigFlags } from './config-flags.js';

/** Files of the provider: nothing for others to read, nothing for the group to write. Its socket is opened to all on purpose. */
const UMASK = 0o027;

export function runCommand(command: Command, host: CommandHost): void {
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-oidc run --config oidc.yaml',
    'bonafide-oidc run --config oidc.yaml --log-level DEBUG',
  ]).action(async (flags: ConfigFlags) => {
    const config = await loadOidcConfig(flags, host);
    process.umask(process.umask(UMASK) | UMASK);
    const [{ startProvider }, { createLogger }] = await Promise.all([
      import('../wiring.js'),
      import('@bonafide/shared/runtime/logger'),
    ]);
    const log = createLogger({ level: config.log_level, format: config.log_format, file: config.log_path });
    const release = keepProcessAlive();
    try {
      const provider = await startProvider(config, { clock: host.clock, log });
      await provider.run(host.stopSignal());
    } finally {
      release();
    }
  });
}
