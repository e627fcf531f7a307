/** `agent ban`: cuts an agent off for good: it can neither use its SVID nor attest again until it is evicted. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId, type AgentIdFlag } from './agent-id-flag.js';

interface BanFlags extends AgentIdFlag, ServerFlags {
  readonly output: OutputFormat;
}

export function agentBan(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(agentIdOption()).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server agent ban --spiffe-id spiffe://example.org/spire/agent/join_token/5b8bb1b2',
  ]).action(async (flags: BanFlags) => {
    const id = requiredAgentId(flags);
    await withServer(flags, host, (server) =>
      server.call('spire.api.server.agent.v1.Agent', 'banAgent', { id }),
    );
    printAnswer(host, flags.output, { json: () => ({}), pretty: () => 'Agent banned successfully\n' });
  });
}
