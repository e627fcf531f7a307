/** `agent quarantine`: an agent may hold nothing until it is released; it keeps its place, and goes on proving its node. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { addServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId } from './agent-id-flag.js';
import { printNodeState, type NodeCommandFlags } from './print-node-state.js';

interface QuarantineFlags extends NodeCommandFlags {
  readonly reason?: string;
}

export function agentQuarantine(command: Command, host: CommandHost): void {
  addServerFlags(
    command
      .addOption(agentIdOption())
      .addOption(valueOption('--reason <text>', 'what others should know about it', (text) => text))
      .addOption(outputOption()),
  );
  addExamples(command, [
    'bonafide-server agent quarantine --spiffe-id spiffe://example.org/spire/agent/tpm/5b8bb1b2 --reason "odd traffic"',
  ]).action(async (flags: QuarantineFlags) => {
    const id = requiredAgentId(flags);
    const state = await withServer(flags, host, (server) =>
      server.call('bonafide.attestation.v1.NodeAdmission', 'quarantineAgent', {
        id,
        reason: flags.reason ?? '',
      }),
    );
    printNodeState(host, flags.output, state, 'Agent put into quarantine');
  });
}
