/** `agent release`: ends a quarantine; what the node showed last is what it is to be from now on. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { addServerFlags } from '../server-flags.js';
import { agentIdOption, requiredAgentId } from './agent-id-flag.js';
import { printNodeState, type NodeCommandFlags } from './print-node-state.js';

interface ReleaseFlags extends NodeCommandFlags {
  readonly digest?: string;
}

const SERVICE = 'bonafide.attestation.v1.NodeAdmission';

export function agentRelease(command: Command, host: CommandHost): void {
  addServerFlags(
    command
      .addOption(agentIdOption())
      .addOption(
        valueOption(
          '--digest <digest>',
          "of the state that is accepted, as 'agent show' tells it; whatever the node showed last when absent",
          (text) => text,
        ),
      )
      .addOption(outputOption()),
  );
  addExamples(command, [
    'bonafide-server agent release --spiffe-id spiffe://example.org/spire/agent/tpm/5b8bb1b2',
    'bonafide-server agent release --spiffe-id spiffe://example.org/spire/agent/tpm/5b8bb1b2 --digest 1f0e6a0f2c3d4e5f60718293a4b5c6d7',
  ]).action(async (flags: ReleaseFlags) => {
    const id = requiredAgentId(flags);
    const state = await withServer(flags, host, async (server) => {
      const digest = flags.digest ?? (await server.call(SERVICE, 'getNodeState', { id })).digest;
      // Of one that is not in quarantine there is none; the server says so.
      return server.call(SERVICE, 'releaseAgent', { id, digest: digest === '' ? '-' : digest });
    });
    printNodeState(host, flags.output, state, 'Agent released from quarantine');
  });
}
