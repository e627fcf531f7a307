/** The shortest write there is, for tests. */
import { exampleEntry } from './example-records.js';
import type { Store } from './store.js';

/** @returns its id. */
export function createEntry(store: Store, path: string): Promise<string> {
  return store.write(async ({ entries }) => {
    const entry = await entries.create(exampleEntry({ path }), { id: undefined, createdAt: new Date(0) });
    return entry.id;
  });
}
