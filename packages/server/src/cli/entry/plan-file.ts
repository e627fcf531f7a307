/** A file of entries that owns what is in its scope: SPIRE's form `{"entries": [...]}` with a `scope` beside it. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import type { EntryPlanRequest } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanRequest';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { LineCounter, isNode, parseDocument } from 'yaml';
import { z } from 'zod';
import { inputName, readInput } from '../read-input.js';
import { entryMessage, entrySchema, LARGEST_FILE_BYTES } from './entry-file.js';

const schema = z.strictObject({
  scope: z.strictObject({ spiffe_id_prefix: parsedString(parseSpiffeId) }).optional(),
  // Without the key it is rather a file that was cut off than one that wants everything gone.
  entries: z.array(entrySchema),
});

export interface PlanFile {
  readonly name: string;
  readonly hasScope: boolean;
  /** @param terms what is asked for beside the file. */
  requests(terms: { readonly prune: boolean; readonly digest: string }): Iterable<EntryPlanRequest>;
  /** Where the entry begins. */
  positionOf(index: number): { readonly line: number; readonly column: number } | undefined;
}

/** The largest entry is some hundred kilobytes; a message has four megabytes at most. */
const BYTES_A_MESSAGE = 1024 * 1024;
const ENTRIES_A_MESSAGE = 500;

/** @param path `-` for standard input. @throws BonafideError `invalid_argument` listing all mistakes. */
export async function readPlanFile(path: string, host: CommandHost): Promise<PlanFile> {
  const name = inputName(path);
  const text = await readInput(path, host, LARGEST_FILE_BYTES);
  const { scope, entries } = parseConfig(name, text, schema);
  return {
    name,
    hasScope: scope !== undefined,
    *requests({ prune, digest }) {
      yield { terms: { spiffeIdPrefix: scope?.spiffe_id_prefix ?? '', prune, digest } };
      let page = [];
      let bytes = 0;
      for (const entry of entries) {
        const size = JSON.stringify(entry).length;
        if (page.length > 0 && (page.length === ENTRIES_A_MESSAGE || bytes + size > BYTES_A_MESSAGE)) {
          yield { entries: page };
          page = [];
          bytes = 0;
        }
        page.push(entryMessage(entry));
        bytes += size;
      }
      if (page.length > 0) yield { entries: page };
    },
    positionOf: positionsIn(text),
  };
}

/** Reads the text once more, and only when a place is asked for. */
function positionsIn(text: string): PlanFile['positionOf'] {
  const lines = new LineCounter();
  let document: ReturnType<typeof parseDocument> | undefined;
  return (index) => {
    document ??= parseDocument(text, { lineCounter: lines });
    const node: unknown = document.getIn(['entries', index], true);
    if (!isNode(node) || !node.range) return undefined;
    const { line, col: column } = lines.linePos(node.range[0]);
    return { line, column };
  };
}
