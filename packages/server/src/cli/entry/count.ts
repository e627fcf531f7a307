/** `entry count`: how many entries match every condition given. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { addEntryFilterFlags, entryFilter, type EntryFilterFlags } from './entry-filter.js';

interface CountFlags extends EntryFilterFlags, ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.entry.v1.Entry';

export function entryCount(command: Command, host: CommandHost): void {
  addServerFlags(addEntryFilterFlags(command).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server entry count',
    'bonafide-server entry count --parent-id spiffe://example.org/my-nodes',
  ]).action(async (flags: CountFlags) => {
    const response = await withServer(flags, host, (server) =>
      server.call(SERVICE, 'countEntries', { filter: entryFilter(flags) }),
    );
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.server.entry.v1.CountEntriesResponse',
      message: response,
      pretty: () => `${counted(response.count, 'registration entry', 'registration entries')}\n`,
    });
  });
}
