/** `entry update`: replaces one entry from flags, or many from a file. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { Command } from 'commander';
import { withServer, type ServerConnection } from '../server-connection.js';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { changeEntries, reportEntries } from './change-entries.js';
import { addEntryFlags, entryFromFlags, refuseEntryFlagsBesideData, type EntryFlags } from './entry-flags.js';

interface UpdateFlags extends EntryFlags, ServerFlags, WaitFlag {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.entry.v1.Entry';

export function entryUpdate(command: Command, host: CommandHost): void {
  addEntryFlags(command, 'the entry to replace').addOption(waitOption()).addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server entry update --entry-id ID --parent-id spiffe://example.org/my-nodes --spiffe-id spiffe://example.org/web --selector unix:uid:1001',
    'bonafide-server entry update --data entries.yaml',
  ]).action(async (flags: UpdateFlags) => {
    const entries = await entriesToUpdate(flags, host);
    await withServer(flags, host, async (server) => {
      const merged = await Promise.all(entries.map((entry) => keepAttributes(server, flags, entry)));
      const results = await changeEntries(merged, async (batch) => {
        const response = await server.call(SERVICE, 'batchUpdateEntry', { entries: batch });
        return response.results;
      });
      await printAndWait(server, host, flags, (delivery) => {
        reportEntries(host, flags.output, 'update', results, delivery);
      });
    });
  });
}

async function entriesToUpdate(flags: UpdateFlags, host: CommandHost): Promise<readonly Entry__Output[]> {
  if (flags.data === undefined) {
    if (flags.entryId === undefined) {
      throw invalidArgument('entry ID is required; add --entry-id as entry show prints it');
    }
    return [entryFromFlags(flags, flags.parentId)];
  }
  refuseEntryFlagsBesideData(flags);
  const { readEntryFile } = await import('./entry-file.js');
  return readEntryFile(flags.data, host);
}

/** The attributes have one mask for all of them: those that no flag names are taken from the entry as it is now. */
async function keepAttributes(
  server: ServerConnection,
  flags: UpdateFlags,
  entry: Entry__Output,
): Promise<Entry__Output> {
  if (flags.data !== undefined || entry.additionalAttributes === null) return entry;
  const present = (await server.call(SERVICE, 'getEntry', { id: entry.id })).additionalAttributes;
  return {
    ...entry,
    additionalAttributes: {
      disableX509SvidPrefetch: flags.disableX509SvidPrefetch ?? present?.disableX509SvidPrefetch ?? false,
      jwtSvidIncludeJti: flags.jwtSvidIncludeJti ?? present?.jwtSvidIncludeJti ?? false,
    },
  };
}
