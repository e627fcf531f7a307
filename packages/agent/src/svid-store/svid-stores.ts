/** The SVID stores by the names that stand in the configuration file and in selectors. */
import { z } from 'zod';
import type { Ownership } from './write-new-file.js';
import { DirectoryStore, directoryStoreConfigSchema } from './directory-store.js';
import type { SvidStore } from './svid-store.js';

/** `plugins.SVIDStore` */
export const svidStoresConfigSchema = z.strictObject({ directory: directoryStoreConfigSchema.optional() });

type SvidStoresConfig = z.output<typeof svidStoresConfigSchema>;

/**
 * @param ownershipOf finds the numbers of users and groups.
 * @throws BonafideError when a store cannot be used.
 */
export async function createSvidStores(
  config: SvidStoresConfig,
  ownershipOf: (named: { owner: string | undefined; group: string | undefined }) => Promise<Ownership>,
): Promise<ReadonlyMap<string, SvidStore>> {
  const stores = new Map<string, SvidStore>();
  if (config.directory !== undefined) {
    const { directory, group, owner } = config.directory;
    const store = new DirectoryStore({ directory, ownership: await ownershipOf({ owner, group }) });
    await store.prepare();
    stores.set('directory', store);
  }
  return stores;
}
