/** `entry explain`: who may hold an entry, who does, and what stands in the way. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { explanationText } from './explanation-text.js';

interface ExplainFlags extends ServerFlags {
  readonly entryId?: string;
  readonly spiffeId?: SpiffeId;
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.entry.v1.EntryExplanation';

export function entryExplain(command: Command, host: CommandHost): void {
  addServerFlags(
    command
      .option('--entry-id <id>', 'the entry with this ID, as entry show prints it')
      .addOption(valueOption('--spiffe-id <id>', 'all entries that give this SPIFFE ID', parseSpiffeId))
      .addOption(outputOption()),
  );
  addExamples(command, [
    'bonafide-server entry explain --spiffe-id spiffe://example.org/web',
    'bonafide-server entry explain --entry-id web --output json',
  ]).action(async ({ entryId, spiffeId, ...flags }: ExplainFlags) => {
    if ((entryId === undefined) === (spiffeId === undefined)) {
      throw invalidArgument('name what is to be explained: add --entry-id or --spiffe-id, and not both');
    }
    const request = { entryId: entryId ?? '', spiffeId: spiffeId ?? '' };
    const response = await withServer(flags, host, (server) => server.call(SERVICE, 'explainEntry', request));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'bonafide.entry.v1.ExplainEntryResponse',
      message: response,
      pretty: () => response.entries.map(explanationText).join('\n') + moreText(response),
    });
  });
}

function moreText({
  entries,
  total,
}: {
  readonly entries: readonly object[];
  readonly total: number;
}): string {
  const more = total - entries.length;
  return more > 0 ? `\nand ${more} more; name one of them with --entry-id\n` : '';
}
