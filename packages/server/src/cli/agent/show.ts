/** `agent show`: one attested agent with the selectors of its node. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId, type AgentIdFlag } from './agent-id-flag.js';
import { agentText, labelled } from './agent-text.js';
import { fetchNodeState, nodeStateJson, nodeStateText } from './node-state.js';

interface ShowFlags extends AgentIdFlag, ServerFlags {
  readonly state?: boolean;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.agent.v1.Agent';

export function agentShow(command: Command, host: CommandHost): void {
  addServerFlags(
    command
      .addOption(agentIdOption())
      .addOption(
        switchOption('--state', 'adds node_state to JSON, which without it is exactly what SPIRE prints'),
      )
      .addOption(outputOption()),
  );
  addExamples(command, [
    'bonafide-server agent show --spiffe-id spiffe://example.org/spire/agent/join_token/5b8bb1b2',
  ]).action(async (flags: ShowFlags) => {
    const id = requiredAgentId(flags);
    const [agent, state] = await withServer(flags, host, async (server) => [
      await server.call(SERVICE, 'getAgent', { id }),
      await fetchNodeState(server, id),
    ]);
    const selectors = agent.selectors.map(({ type, value }) => labelled('Selectors', `${type}:${value}`));
    const stateText = state === undefined ? '' : nodeStateText(state);
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.types.Agent',
      message: agent,
      more: flags.state === true && state !== undefined ? nodeStateJson(state) : undefined,
      pretty: () =>
        `Found an attested agent given its SPIFFE ID\n\n${agentText(agent)}${selectors.join('')}${stateText}`,
    });
  });
}
