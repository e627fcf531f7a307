/** `run`: the provider itself, until it is told to stop. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { LiveConfig } from '@bonafide/shared/config/live-config';
import { reloadOnRequest } from '@bonafide/shared/config/reload-on-request';
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
    const warnings: string[] = [];
    const config = await loadOidcConfig(flags, host, (text) => warnings.push(text));
    process.umask(process.umask(UMASK) | UMASK);
    const [{ startProvider }, { createLogger }, { openServiceNotice }] = await Promise.all([
      import('../wiring.js'),
      import('@bonafide/shared/runtime/logger'),
      import('@bonafide/shared/runtime/service-notice'),
    ]);
    const log = createLogger({ level: config.log_level, format: config.log_format, file: config.log_path });
    const warn = (text: string): void => {
      log.warn(text);
    };
    warnings.forEach(warn);
    const live = new LiveConfig({ config, load: () => loadOidcConfig(flags, host, warn), log });
    const release = keepProcessAlive();
    try {
      const { clock, environment } = host;
      const notice = openServiceNotice({ environment, pid: process.pid, clock, log });
      reloadOnRequest(live, host, notice);
      const provider = await startProvider(config, { clock, log, live });
      live.ready();
      notice.ready('Serving the documents of discovery');
      const stop = host.stopSignal();
      stop.addEventListener('abort', notice.stopping, { once: true });
      await provider.run(stop);
    } finally {
      release();
    }
  });
}
