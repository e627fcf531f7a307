/** `agent count`: how many attested agents match every condition given. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { addAgentFilterFlags, agentFilter, type AgentFilterFlags } from './agent-filter.js';

interface CountFlags extends AgentFilterFlags, ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.agent.v1.Agent';

export function agentCount(command: Command, host: CommandHost): void {
  addServerFlags(addAgentFilterFlags(command).addOption(outputOption()));
  addExamples(command, ['bonafide-server agent count', 'bonafide-server agent count --banned true']).action(
    async (flags: CountFlags) => {
      const response = await withServer(flags, host, (server) =>
        server.call(SERVICE, 'countAgents', { filter: agentFilter(flags) }),
      );
      printMessage(host, flags.output, {
        service: SERVICE,
        name: 'spire.api.server.agent.v1.CountAgentsResponse',
        message: response,
        pretty: () => `${counted(response.count, 'attested agent', 'attested agents')}\n`,
      });
    },
  );
}
