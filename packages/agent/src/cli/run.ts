/** `run`: the agent itself, until it is told to stop. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { LiveConfig } from '@bonafide/shared/config/live-config';
import { reloadOnRequest } from '@bonafide/shared/config/reload-on-request';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import type { Command } from 'commander';
import { addConfigFlags, loadAgentConfig, type ConfigFlags } from './config-flags.js';

/** Files of the agent: nothing for others to read, nothing for the group to write. Its socket is opened to all on purpose. */
const UMASK = 0o027;

export function run(command: Command, host: CommandHost): void {
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-agent run --config conf/agent/agent.yaml --join-token TOKEN',
    'bonafide-agent run --config agent.yaml --log-level DEBUG --socket-path /run/bonafide/agent.sock',
  ]).action(async (flags: ConfigFlags) => {
    const warnings: string[] = [];
    const config = await loadAgentConfig(flags, host, (text) => warnings.push(text));
    process.umask(process.umask(UMASK) | UMASK);
    const [{ runAgent }, { createLogger }, { openServiceNotice }] = await Promise.all([
      import('../wiring/run-agent.js'),
      import('@bonafide/shared/runtime/logger'),
      import('@bonafide/shared/runtime/service-notice'),
    ]);
    const { log_level: level, log_format: format, log_file: file } = config.agent;
    const log = createLogger({ level, format, file });
    const warn = (text: string): void => {
      log.warn(text);
    };
    warnings.forEach(warn);
    const live = new LiveConfig({ config, load: () => loadAgentConfig(flags, host, warn), log });
    const { clock, environment } = host;
    const release = keepProcessAlive();
    try {
      const notice = openServiceNotice({ environment, pid: process.pid, clock, log });
      const signal = host.stopSignal();
      signal.addEventListener('abort', notice.stopping, { once: true });
      reloadOnRequest(live, host, notice);
      await runAgent(config, { clock, log, environment, live, notice, signal });
    } catch (error) {
      // Whoever reads only the log must find it there too.
      log.fatal(file === undefined && format === 'text' ? {} : { err: error }, 'Agent crashed');
      throw error;
    } finally {
      release();
    }
  });
}
