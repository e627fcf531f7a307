/** `run`: the server itself, until it is told to stop. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { LiveConfig } from '@bonafide/shared/config/live-config';
import { reloadOnRequest } from '@bonafide/shared/config/reload-on-request';
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
    const warnings: string[] = [];
    const config = await loadServerConfig(flags, host, (text) => warnings.push(text));
    process.umask(process.umask(UMASK) | UMASK);
    const [{ createServer }, { createLogger }, { openServiceNotice }] = await Promise.all([
      import('../wiring/create-server.js'),
      import('@bonafide/shared/runtime/logger'),
      import('@bonafide/shared/runtime/service-notice'),
    ]);
    const { log_level: level, log_format: format, log_file: file } = config.server;
    const log = createLogger({ level, format, file });
    const warn = (text: string): void => {
      log.warn(text);
    };
    warnings.forEach(warn);
    const live = new LiveConfig({ config, load: () => loadServerConfig(flags, host, warn), log });
    const { clock, environment } = host;
    const notice = openServiceNotice({ environment, pid: process.pid, clock, log });
    reloadOnRequest(live, host, notice);
    try {
      const server = await createServer(config, { clock, log, live });
      live.ready();
      notice.ready(`Serving ${config.server.trust_domain} on port ${server.port}`);
      const stop = host.stopSignal();
      stop.addEventListener('abort', notice.stopping, { once: true });
      await server.run(stop);
    } catch (error) {
      // Whoever reads only the log must find it there too.
      log.fatal(file === undefined && format === 'text' ? {} : { err: error }, 'Server crashed');
      throw error;
    }
    log.info('Server stopped gracefully');
  });
}
