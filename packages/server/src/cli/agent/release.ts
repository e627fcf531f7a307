/** `agent release`: ends a quarantine; what the node showed last is what it is to be from now on. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { addServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId } from './agent-id-flag.js';
import { printNodeState, type NodeCommandFlags } from './print-node-state.js';

export function agentRelease(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(agentIdOption()).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server agent release --spiffe-id spiffe://example.org/spire/agent/tpm/5b8bb1b2',
  ]).action(async (flags: NodeCommandFlags) => {
    const id = requiredAgentId(flags);
    const state = await withServer(flags, host, (server) =>
      server.call('bonafide.attestation.v1.NodeAdmission', 'releaseAgent', { id }),
    );
    printNodeState(host, flags.output, state, 'Agent released from quarantine');
  });
}
