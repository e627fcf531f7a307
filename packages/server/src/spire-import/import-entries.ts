/** Entries into the registry: ids, revisions and times of creation stay, so that an agent of SPIRE sees the same entries go on. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { CompactEntry, NewEntryRecord } from '../store/entry-record.js';
import type { WriteTransaction } from '../store/store.js';
import { NOTHING, type Tally } from './import-report.js';
import { contentText, similarityOf } from './same-records.js';
import type { Findings } from './spire-state.js';

export interface EntryImportOptions {
  readonly transaction: Pick<WriteTransaction, 'entries'>;
  readonly entries: readonly RegistrationEntry[];
  /** Trust domains whose bundle is there. */
  readonly bundles: ReadonlySet<TrustDomain>;
  readonly prune: boolean;
  readonly findings: Findings;
  readonly onDone?: ((count: number) => void) | undefined;
}

const ENTRIES_A_WRITE = 1000;

/** What is here, as far as it matters: a million texts would be a gigabyte. */
interface Present {
  readonly byId: ReadonlyMap<string, CompactEntry>;
  /** Ids of those that only we have, by what makes entries similar. */
  readonly others: ReadonlyMap<string, string>;
}

export async function importEntries(options: EntryImportOptions): Promise<Tally> {
  const { transaction, entries, prune, onDone } = options;
  const ids = new Set(entries.map(({ id }) => id));
  const present = await readPresent(transaction, ids, prune);
  if (prune) await deleteAll(transaction, [...present.others.values()]);
  const created: NewEntryRecord[] = [];
  const updated: { id: string; content: RegistrationEntry; revisionNumber: number }[] = [];
  let newerHere = 0;
  let taken = 0;
  for (const entry of entries) {
    const ours = present.byId.get(entry.id);
    if (!isAcceptable(entry, present, options)) continue;
    taken += 1;
    if (ours === undefined) {
      const { id, createdAt, revisionNumber } = entry;
      created.push({ id, content: entry, createdAt, revisionNumber });
    } else if (ours.revisionNumber > entry.revisionNumber) newerHere += isSame(ours, entry) ? 0 : 1;
    else if (ours.revisionNumber < entry.revisionNumber || !isSame(ours, entry)) {
      updated.push({ id: entry.id, content: entry, revisionNumber: entry.revisionNumber });
    } else onDone?.(1);
  }
  for (const some of slices(created)) {
    await transaction.entries.createMany(some);
    onDone?.(some.length);
  }
  for (const some of slices(updated)) {
    await transaction.entries.updateMany(some);
    onDone?.(some.length);
  }
  return {
    ...NOTHING,
    created: created.length,
    updated: updated.length,
    unchanged: taken - created.length - updated.length - newerHere,
    newerHere,
    onlyHere: prune ? 0 : present.others.size,
    pruned: prune ? present.others.size : 0,
  };
}

/** Ours that SPIRE does not know are told apart first: one of them may be in the way of one of theirs. */
async function readPresent(
  { entries }: Pick<WriteTransaction, 'entries'>,
  ids: ReadonlySet<string>,
  prune: boolean,
): Promise<Present> {
  const byId = new Map<string, CompactEntry>();
  const others = new Map<string, string>();
  for await (const batch of entries.all()) {
    for (const entry of batch) {
      if (ids.has(entry.id)) byId.set(entry.id, entry);
      // Who prunes needs every id, and similar ones among ours would hide each other.
      else
        others.set(prune ? entry.id : similarityOf({ ...entry, selectors: entry.terms.selectors }), entry.id);
    }
  }
  return { byId, others };
}

function isAcceptable(
  entry: RegistrationEntry,
  present: Present,
  { bundles, prune, findings }: EntryImportOptions,
): boolean {
  const unknown = entry.federatesWith.filter((trustDomain) => !bundles.has(trustDomain));
  if (unknown.length > 0) {
    findings.add({
      kind: 'entries',
      name: entry.id,
      reason: `it federates with ${unknown.join(', ')}, whose bundle could not be carried over`,
      remedy: 'set the bundle here (bonafide-server bundle set) and import again',
    });
    return false;
  }
  const similar = prune ? undefined : present.others.get(similarityOf(entry));
  if (similar === undefined) return true;
  findings.add({
    kind: 'entries',
    name: entry.id,
    reason: `the entry ${similar} here has the same SPIFFE ID, parent and selectors`,
    remedy: `delete one of the two and import again: bonafide-server entry delete --entry-id ${similar}`,
  });
  return false;
}

function isSame(ours: CompactEntry, theirs: RegistrationEntry): boolean {
  const { spiffeId, parentId, terms, expiresAt } = ours;
  const content = {
    ...terms,
    spiffeId,
    parentId,
    expiresAt: expiresAt === undefined ? undefined : new Date(expiresAt),
  };
  return contentText(content) === contentText(theirs);
}

async function deleteAll(
  { entries }: Pick<WriteTransaction, 'entries'>,
  ids: readonly string[],
): Promise<void> {
  for (const some of slices(ids)) await entries.deleteMany(some);
}

function* slices<T>(items: readonly T[]): Generator<readonly T[], void, undefined> {
  for (let start = 0; start < items.length; start += ENTRIES_A_WRITE)
    yield items.slice(start, start + ENTRIES_A_WRITE);
}
