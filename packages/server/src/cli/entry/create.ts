/** `entry create`: registers one entry from flags, or many from a file. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import { serverId, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { changeEntries, reportEntries } from './change-entries.js';
import { addEntryFlags, entryFromFlags, refuseEntryFlagsBesideData, type EntryFlags } from './entry-flags.js';

interface CreateFlags extends EntryFlags, ServerFlags, WaitFlag {
  readonly node?: boolean;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.entry.v1.Entry';

export function entryCreate(command: Command, host: CommandHost): void {
  addEntryFlags(command, 'ID of the new entry (default: one is made)')
    .addOption(
      switchOption(
        '--node',
        'makes it a node alias: it applies to nodes with these selectors, not to workloads',
      ),
    )
    .addOption(waitOption())
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server entry create --parent-id spiffe://example.org/my-nodes --spiffe-id spiffe://example.org/web --selector unix:uid:1000',
    'bonafide-server entry create --node --spiffe-id spiffe://example.org/my-nodes --selector join_token:x --hint rack-7',
    'bonafide-server entry create --data entries.yaml --wait=10s',
  ]).action(async (flags: CreateFlags) => {
    const entries = await entriesToCreate(flags, host);
    await withServer(flags, host, async (server) => {
      const results = await changeEntries(entries, async (batch) => {
        const response = await server.call(SERVICE, 'batchCreateEntry', { entries: batch });
        return response.results;
      });
      await printAndWait(server, host, flags, (delivery) => {
        reportEntries(host, flags.output, 'create', results, delivery);
      });
    });
  });
}

async function entriesToCreate(flags: CreateFlags, host: CommandHost): Promise<readonly Entry__Output[]> {
  if (flags.data === undefined) return [entryFromFlags(flags, parentOf(flags))];
  refuseEntryFlagsBesideData(flags);
  if (flags.node !== undefined)
    throw invalidArgument('--data takes the whole entry from a file; leave out --node');
  const { readEntryFile } = await import('./entry-file.js');
  return readEntryFile(flags.data, host);
}

function parentOf({ node, parentId, spiffeId, federatesWith }: CreateFlags): SpiffeId | undefined {
  if (node !== true) return parentId;
  if (federatesWith !== undefined)
    throw invalidArgument('node entries can not federate; leave out --federates-with');
  return spiffeId === undefined ? undefined : serverId(trustDomainOf(spiffeId));
}
