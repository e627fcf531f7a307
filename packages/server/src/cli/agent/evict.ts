/** `agent evict`: forgets an agent: its SVID is worth nothing from now on, but it may attest again. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId, type AgentIdFlag } from './agent-id-flag.js';

interface EvictFlags extends AgentIdFlag, ServerFlags, WaitFlag {
  readonly output: OutputFormat;
}

export function agentEvict(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(agentIdOption()).addOption(waitOption()).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server agent evict --spiffe-id spiffe://example.org/spire/agent/join_token/5b8bb1b2',
  ]).action(async (flags: EvictFlags) => {
    const id = requiredAgentId(flags);
    await withServer(flags, host, async (server) => {
      await server.call('spire.api.server.agent.v1.Agent', 'deleteAgent', { id });
      await printAndWait(server, host, flags, (delivery) => {
        printAnswer(host, flags.output, {
          json: () => (delivery === undefined ? {} : { delivery }),
          pretty: () => 'Agent evicted successfully\n',
        });
      });
    });
  });
}
