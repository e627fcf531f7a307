/** `agent show`: one attested agent with the selectors of its node. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId, type AgentIdFlag } from './agent-id-flag.js';
import { agentText, labelled } from './agent-text.js';

interface ShowFlags extends AgentIdFlag, ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.agent.v1.Agent';

export function agentShow(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(agentIdOption()).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server agent show --spiffe-id spiffe://example.org/spire/agent/join_token/5b8bb1b2',
  ]).action(async (flags: ShowFlags) => {
    const id = requiredAgentId(flags);
    const agent = await withServer(flags, host, (server) => server.call(SERVICE, 'getAgent', { id }));
    const selectors = agent.selectors.map(({ type, value }) => labelled('Selectors', `${type}:${value}`));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.types.Agent',
      message: agent,
      pretty: () => `Found an attested agent given its SPIFFE ID\n\n${agentText(agent)}${selectors.join('')}`,
    });
  });
}
