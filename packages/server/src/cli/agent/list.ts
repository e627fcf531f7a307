/** `agent list`: the attested agents that match every condition given. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { NodeState__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/NodeState';
import type { Agent__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Agent';
import { withProgress } from '@bonafide/shared/cli/progress';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { counted, printedId } from '../printed-words.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { addAgentFilterFlags, agentFilter, type AgentFilterFlags } from './agent-filter.js';
import { agentText } from './agent-text.js';
import { fetchAgents } from './fetch-agents.js';
import { fetchQuarantined, quarantineText } from './node-state.js';

interface ListFlags extends AgentFilterFlags, ServerFlags {
  readonly output: OutputFormat;
}

export function agentList(command: Command, host: CommandHost): void {
  addServerFlags(addAgentFilterFlags(command).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server agent list',
    'bonafide-server agent list --attestation-type join_token --banned false',
    'bonafide-server agent list --expires-before 2026-12-31T00:00:00Z --output json',
  ]).action(async (flags: ListFlags) => {
    const [agents, quarantined] = await withServer(flags, host, async (server) => [
      await withProgress(host, 'reading agents', (advance) =>
        fetchAgents(server, { filter: agentFilter(flags) }, advance),
      ),
      await fetchQuarantined(server),
    ]);
    printMessage(host, flags.output, {
      service: 'spire.api.server.agent.v1.Agent',
      name: 'spire.api.server.agent.v1.ListAgentsResponse',
      message: { agents, nextPageToken: '' },
      pretty: () => foundAgentsText(agents, quarantined),
    });
  });
}

function foundAgentsText(
  agents: readonly Agent__Output[],
  quarantined: ReadonlyMap<string, NodeState__Output>,
): string {
  if (agents.length === 0) return 'No attested agents found\n';
  const found = counted(agents.length, 'attested agent', 'attested agents');
  const texts = agents.map((agent) => {
    const state = quarantined.get(printedId(agent.id));
    return agentText(agent, state === undefined ? '' : quarantineText(state));
  });
  return `Found ${found}:\n\n${texts.join('')}`;
}
