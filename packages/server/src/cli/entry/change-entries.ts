/** What creating and updating have in common: batches, and the report of what went well and what did not. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import type { JsonValue, OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { Status__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Status';
import { printMessage } from '../print-message.js';
import { statusName } from '../printed-words.js';
import { entryText } from './entry-text.js';

export interface EntryResult {
  readonly status: Status__Output | null;
  readonly entry: Entry__Output | null;
}

/** Small enough for the message limit of any server, large enough that a file of thousands takes few calls. */
const BATCH_SIZE = 500;

const WORDS = {
  create: { message: 'spire.api.server.entry.v1.BatchCreateEntryResponse' },
  update: { message: 'spire.api.server.entry.v1.BatchUpdateEntryResponse' },
} as const;

/** The result of each entry, in order; where the server answers a failure without the entry, the one that was sent. */
export async function changeEntries(
  entries: readonly Entry__Output[],
  send: (batch: Entry__Output[]) => Promise<readonly EntryResult[]>,
): Promise<readonly EntryResult[]> {
  const results: EntryResult[] = [];
  for (let start = 0; start < entries.length; start += BATCH_SIZE) {
    const batch = entries.slice(start, start + BATCH_SIZE);
    const answers = await send(batch);
    results.push(
      ...answers.map((answer, index) =>
        succeeded(answer) ? answer : { ...answer, entry: batch[index] ?? null },
      ),
    );
  }
  return results;
}

/** @throws BonafideError after everything is printed, when an entry failed. */
export function reportEntries(
  host: CommandHost,
  output: OutputFormat,
  verb: keyof typeof WORDS,
  results: readonly EntryResult[],
  delivery?: JsonValue,
): void {
  const failed = results.filter((result) => !succeeded(result));
  printMessage(host, output, {
    service: 'spire.api.server.entry.v1.Entry',
    name: WORDS[verb].message,
    message: { results },
    delivery,
    pretty: () => results.filter(succeeded).map(resultText).join(''),
  });
  if (failed.length === 0) return;
  if (output === 'pretty') {
    for (const { status, ...result } of failed) {
      host.stderr.write(
        `Failed to ${verb} the following entry (code: ${statusName(status?.code ?? 0)}, msg: ${JSON.stringify(status?.message ?? '')}):\n` +
          resultText(result),
      );
    }
  }
  throw new BonafideError('aborted', `failed to ${verb} one or more entries`);
}

function succeeded({ status }: EntryResult): boolean {
  return status?.code === 0;
}

function resultText({ entry }: Pick<EntryResult, 'entry'>): string {
  return entry === null ? '' : entryText(entry);
}
