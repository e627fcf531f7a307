/** `agent pending`: the nodes that ask to be let in, and what was decided about them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { listingText } from '@bonafide/shared/cli/table';
import type { PendingNode__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/PendingNode';
import type { Command } from 'commander';
import { listPages } from '../list-pages.js';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { pendingNodeTable, pendingNodeText } from './pending-node.js';

interface PendingFlags extends ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.attestation.v1.NodeAdmission';

export function agentPending(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(outputOption()));
  addExamples(command, [
    'bonafide-server agent pending',
    'bonafide-server agent pending --output json',
  ]).action(async (flags: PendingFlags) => {
    const nodes = await withServer(flags, host, fetchPending);
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'bonafide.attestation.v1.ListPendingNodesResponse',
      message: { nodes, nextPageToken: '' },
      pretty: () => {
        if (nodes.length === 0) return 'No nodes ask to be let in\n';
        const found = counted(nodes.length, 'node that asks', 'nodes that ask');
        return listingText(host, {
          ...pendingNodeTable(nodes),
          plain: () => `Found ${found} to be let in:\n\n${nodes.map(pendingNodeText).join('')}`,
        });
      },
    });
  });
}

function fetchPending(server: ServerConnection): Promise<readonly PendingNode__Output[]> {
  return listPages(async (page) => {
    const { nodes: items, nextPageToken } = await server.call(SERVICE, 'listPendingNodes', page);
    return { items, nextPageToken };
  });
}
