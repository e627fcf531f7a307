/** `run`: the server itself, until it is told to stop. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import type { Command } from 'commander';
import { addConfigFlags, loadServerConfig, type ConfigFlags } from './config-flags.js';

/** Files and sockets of the server: nothing for others to read, nothing for the group to write. */
const UMASK = 0o027;

export function runCommand(command: Command, host: CommandHost): void {
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-server run --config conf/server/server.yaml',
    'bonafide-server run --config server.yaml --log-level DEBUG --server-port 8443',
  ]).action(async (flags: ConfigFlags) => {
    const config = await loadServerConfig(flags, host);
    process.umask(process.umask(UMASK) | UMASK);
    const [{ createServer }, { createLogger }] = await Promise.all([
      import('../wiring/create-server.js'),
      import('@bonafide/shared/runtime/logger'),
    ]);
    const { log_level: level, log_format: format, log_file: file } = config.server;
    const log = createLogger({ level, format, file });
    const server = await createServer(config, { clock: host.clock, log });
    await server.run(host.stopSignal());
  });
}
