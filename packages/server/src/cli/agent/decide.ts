/** `agent approve` and `agent deny`: an operator decides about a node that asks to be let in. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { PendingNode__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/PendingNode';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId, type AgentIdFlag } from './agent-id-flag.js';
import { pendingNodeText } from './pending-node.js';

interface DecideFlags extends AgentIdFlag, ServerFlags {
  readonly reason?: string;
  readonly digest?: string;
  readonly output: OutputFormat;
}

type Verb = 'approve' | 'deny';

const SERVICE = 'bonafide.attestation.v1.NodeAdmission';
const EXAMPLES = { approve: 'rack 7, as ordered', deny: 'nobody knows it' } as const;

export function agentDecide(verb: Verb): (command: Command, host: CommandHost) => void {
  return (command, host) => {
    addServerFlags(
      command
        .addOption(agentIdOption())
        .addOption(valueOption('--reason <text>', 'what others should know about it', (text) => text))
        .addOption(
          valueOption(
            '--digest <digest>',
            "of the request that is meant, as 'agent pending' tells it; whatever the node asks as when absent",
            (text) => text,
          ),
        )
        .addOption(outputOption()),
    );
    addExamples(command, [
      `bonafide-server agent ${verb} --spiffe-id spiffe://example.org/spire/agent/tpm/5b8bb1b2 --reason "${EXAMPLES[verb]}"`,
    ]).action(async (flags: DecideFlags) => {
      const request = { id: requiredAgentId(flags), reason: flags.reason ?? '', digest: flags.digest ?? '' };
      const node = await withServer(flags, host, (server) =>
        server.call(SERVICE, verb === 'approve' ? 'approveNode' : 'denyNode', request),
      );
      printMessage(host, flags.output, {
        service: SERVICE,
        name: 'bonafide.attestation.v1.PendingNode',
        message: node,
        pretty: () => `${doneText(verb, node)}\n\n${pendingNodeText(node)}`,
      });
    });
  };
}

function doneText(verb: Verb, { state }: PendingNode__Output): string {
  if (verb === 'deny') return 'Node denied';
  return state === 'approved'
    ? 'Node approved; it comes in when it attests next'
    : 'Approval noted; the node waits for another person to approve it';
}
