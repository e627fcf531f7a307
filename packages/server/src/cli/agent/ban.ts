/** `agent ban`: cuts an agent off for good: it can neither use its SVID nor attest again until it is evicted. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId, type AgentIdFlag } from './agent-id-flag.js';

interface BanFlags extends AgentIdFlag, ServerFlags, WaitFlag {
  readonly output: OutputFormat;
}

export function agentBan(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(agentIdOption()).addOption(waitOption()).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server agent ban --spiffe-id spiffe://example.org/spire/agent/join_token/5b8bb1b2',
  ]).action(async (flags: BanFlags) => {
    const id = requiredAgentId(flags);
    await withServer(flags, host, async (server) => {
      await server.call('spire.api.server.agent.v1.Agent', 'banAgent', { id });
      await printAndWait(server, host, flags, (delivery) => {
        printAnswer(host, flags.output, {
          json: () => (delivery === undefined ? {} : { delivery }),
          pretty: () => 'Agent banned successfully\n',
        });
      });
    });
  });
}
