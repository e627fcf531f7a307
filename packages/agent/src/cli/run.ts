/** `run`: the agent itself, until it is told to stop. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
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
    const config = await loadAgentConfig(flags, host);
    process.umask(process.umask(UMASK) | UMASK);
    const [{ runAgent }, { createLogger }] = await Promise.all([
      import('../wiring/run-agent.js'),
      import('@bonafide/shared/runtime/logger'),
    ]);
    const { log_level: level, log_format: format, log_file: file } = config.agent;
    const log = createLogger({ level, format, file });
    const { clock, environment } = host;
    const release = keepProcessAlive();
    try {
      await runAgent(config, { clock, log, environment, signal: host.stopSignal() });
    } catch (error) {
      // Whoever reads only the log must find it there too.
      if (file !== undefined) log.fatal({ err: error }, `agent stopped: ${errorMessage(error)}`);
      throw error;
    } finally {
      release();
    }
  });
}
