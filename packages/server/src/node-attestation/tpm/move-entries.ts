/** What was registered for one TPM, registered for another: the entries under its agent, and the node aliases that select its EK hash. */
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import { createSelector, formatSelector, normalizeSelectors } from '@bonafide/shared/registration/selector';
import { serverId, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryFilter } from '../../store/entry-record.js';
import type { WriteTransaction } from '../../store/store.js';
import { ekHashOf } from './tpm-agent-id.js';

type Entries = WriteTransaction['entries'];

const PAGE_SIZE = 500;

/** @returns how many. */
export async function moveEntries(entries: Entries, oldId: SpiffeId, newId: SpiffeId): Promise<number> {
  const [oldSelector, newSelector] = [oldId, newId].map((id) =>
    createSelector('tpm', `ek_hash:${ekHashOf(id)}`),
  );
  if (oldSelector === undefined || newSelector === undefined) return 0;
  const children = await changeEntries(entries, { parentId: oldId }, (entry) => ({
    ...entry,
    parentId: newId,
  }));
  const aliases = await changeEntries(
    entries,
    {
      parentId: serverId(trustDomainOf(oldId)),
      selectors: { named: [oldSelector], match: 'superset' },
    },
    (entry) => ({
      ...entry,
      selectors: normalizeSelectors(
        entry.selectors.map((selector) =>
          formatSelector(selector) === formatSelector(oldSelector) ? newSelector : selector,
        ),
      ),
    }),
  );
  return children + aliases;
}

async function changeEntries(
  entries: Entries,
  filter: EntryFilter,
  change: (entry: RegistrationEntry) => RegistrationEntryContent,
): Promise<number> {
  let changed = 0;
  let token: string | undefined;
  do {
    const page = await entries.list(filter, { size: PAGE_SIZE, token });
    for (const entry of page.items) {
      const content = change(entry);
      // The new TPM may have been given the same entry by hand.
      if ((await entries.findSimilar(content)) === undefined) await entries.update(entry.id, content);
      else await entries.delete(entry.id);
      changed += 1;
    }
    token = page.nextPageToken;
  } while (token !== undefined);
  return changed;
}
