/** `entry show`: the entries that match every condition given. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { withProgress } from '@bonafide/shared/cli/progress';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { Command } from 'commander';
import { listPages } from '../list-pages.js';
import { printMessage } from '../print-message.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { addEntryFilterFlags, entryFilter, type EntryFilterFlags } from './entry-filter.js';
import { sortEntries } from './entry-order.js';
import { foundEntriesText } from './entry-text.js';

interface ShowFlags extends EntryFilterFlags, ServerFlags {
  readonly entryId?: string;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.entry.v1.Entry';

export function entryShow(command: Command, host: CommandHost): void {
  command.option('--entry-id <id>', 'the one entry with this ID; goes with no other condition');
  addServerFlags(addEntryFilterFlags(command).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server entry show',
    'bonafide-server entry show --spiffe-id spiffe://example.org/web',
    'bonafide-server entry show --selector unix:uid:1000 --match-selectors-on exact --output json',
  ]).action(async (flags: ShowFlags) => {
    const entries = sortEntries(await withServer(flags, host, (server) => fetchEntries(server, flags, host)));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.server.entry.v1.ListEntriesResponse',
      message: { entries, nextPageToken: '' },
      pretty: () => foundEntriesText(entries),
    });
  });
}

async function fetchEntries(
  server: ServerConnection,
  flags: ShowFlags,
  host: CommandHost,
): Promise<readonly Entry__Output[]> {
  if (flags.entryId !== undefined) return [await fetchEntry(server, flags, flags.entryId)];
  const filter = entryFilter(flags);
  return withProgress(host, 'reading entries', (advance) =>
    listPages(async (page) => {
      const { entries: items, nextPageToken } = await server.call(SERVICE, 'listEntries', {
        filter,
        ...page,
      });
      return { items, nextPageToken };
    }, advance),
  );
}

function fetchEntry(server: ServerConnection, flags: ShowFlags, id: string): Promise<Entry__Output> {
  if (
    flags.parentId ??
    flags.spiffeId ??
    flags.selector ??
    flags.federatesWith ??
    flags.hint ??
    flags.downstream
  ) {
    throw invalidArgument('--entry-id names one entry; leave out the other conditions');
  }
  return server.call(SERVICE, 'getEntry', { id });
}
