/** `entry delete`: removes one entry by its ID, or many from a file of IDs. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type JsonValue, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { _spire_api_server_entry_v1_BatchDeleteEntryResponse_Result__Output as DeleteResult } from '@bonafide/shared/rpc/gen/spire/api/server/entry/v1/BatchDeleteEntryResponse';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { printMessage } from '../print-message.js';
import { statusName } from '../printed-words.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface DeleteFlags extends ServerFlags, WaitFlag {
  readonly entryId?: string;
  readonly file?: string;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.entry.v1.Entry';
const BATCH_SIZE = 500;

export function entryDelete(command: Command, host: CommandHost): void {
  addServerFlags(
    command
      .option('--entry-id <id>', 'the entry to delete, as entry show prints it')
      .option('--file <file>', `JSON or YAML file {"ids": [...]}, '-' for standard input`)
      .addOption(waitOption())
      .addOption(outputOption()),
  );
  addExamples(command, [
    'bonafide-server entry delete --entry-id 5b8bb1b2-1b6a-4b0f-9a3e-7f1f0e8a2c11',
    `echo '{"ids": ["one", "two"]}' | bonafide-server entry delete --file -`,
  ]).action(async (flags: DeleteFlags) => {
    const ids = await idsToDelete(flags, host);
    await withServer(flags, host, async (server) => {
      const answered: DeleteResult[] = [];
      for (let start = 0; start < ids.length; start += BATCH_SIZE) {
        const batch = ids.slice(start, start + BATCH_SIZE);
        answered.push(...(await server.call(SERVICE, 'batchDeleteEntry', { ids: batch })).results);
      }
      await printAndWait(server, host, flags, (delivery) => {
        report(host, flags.output, answered, delivery);
      });
    });
  });
}

async function idsToDelete({ entryId, file }: DeleteFlags, host: CommandHost): Promise<readonly string[]> {
  if (file !== undefined) {
    if (entryId !== undefined) throw invalidArgument('--file names the entries; leave out --entry-id');
    const { readEntryIdFile } = await import('./entry-file.js');
    return readEntryIdFile(file, host);
  }
  if (entryId === undefined) throw invalidArgument('an entry ID is required; add --entry-id or --file');
  return [entryId];
}

function report(
  host: CommandHost,
  output: OutputFormat,
  results: readonly DeleteResult[],
  delivery: JsonValue | undefined,
): void {
  const deleted = results.filter(({ status }) => status?.code === 0);
  const failed = results.filter(({ status }) => status?.code !== 0);
  if (output === 'pretty') {
    for (const { id, status } of failed) {
      host.stderr.write(
        `Failed to delete entry with ID ${id} (code: ${statusName(status?.code ?? 0)}, msg: ${JSON.stringify(status?.message ?? '')})\n`,
      );
    }
  }
  printMessage(host, output, {
    service: SERVICE,
    name: 'spire.api.server.entry.v1.BatchDeleteEntryResponse',
    message: { results },
    delivery,
    pretty: () => prettyText(deleted, failed.length),
  });
  if (failed.length > 0) throw new BonafideError('aborted', 'failed to delete one or more entries');
}

function prettyText(deleted: readonly DeleteResult[], failedCount: number): string {
  const lines = deleted.map(({ id }) => `Deleted entry with ID: ${id}\n`);
  const gap = (deleted.length > 0 ? '\n\n' : '') + (failedCount > 0 ? '\n\n' : '');
  return `${lines.join('')}${gap}${summary(deleted.length, failedCount)}\n`;
}

function summary(deletedCount: number, failedCount: number): string {
  if (failedCount === 0) return `Deleted ${deletedCount} entries successfully`;
  if (deletedCount === 0) return `Failed to delete ${failedCount} entries`;
  return `Deleted ${deletedCount} entries successfully, but failed to delete ${failedCount} entries`;
}
