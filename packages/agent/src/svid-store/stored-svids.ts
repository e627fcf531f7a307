/** Keeps in the SVID stores what the entries with `storeSvid` say: each new SVID is put there, and taken away with its entry. */
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { PickedEntries } from '../svid-cache/picked-views.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { WorkloadIdentity } from '../svid-cache/workload-identities.js';
import { deliveredIdentity } from './cached-identity.js';
import type { StoreResult, SvidStore } from './svid-store.js';

interface StoredSvidsOptions {
  readonly cache: Pick<SvidCache, 'pick'>;
  /** By the type of the selectors. */
  readonly stores: ReadonlyMap<string, SvidStore>;
  /** Told of every attempt. */
  readonly onAttempt?: (result: StoreResult) => void;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const RETRY = { initialMs: 1_000, maximumMs: 60_000 };

export class StoredSvids {
  readonly #options: StoredSvidsOptions;
  readonly #alarm: Alarm;
  /** By entry, why it has no place; so that the log says it once. */
  readonly #misplaced = new Map<string, string>();
  #newest: PickedEntries | undefined;

  constructor(options: StoredSvidsOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock);
  }

  /** Until the signal fires. To be called once the agent knows its entries: what no entry names is taken away. */
  async run(signal: AbortSignal): Promise<void> {
    const { cache, clock, log, random } = this.#options;
    const backoff = new Backoff({ ...RETRY, random });
    const subscription = cache.pick(
      ({ storesSvid }) => storesSvid,
      (update) => {
        this.#newest = update;
        this.#alarm.ring();
      },
    );
    try {
      while (!signal.aborted) {
        const update = this.#newest;
        if (update === undefined) {
          await this.#alarm.wait(undefined, signal);
          continue;
        }
        this.#newest = undefined;
        try {
          await this.#store(update);
          backoff.reset();
        } catch (error) {
          this.#newest ??= update;
          const delayMs = backoff.nextDelayMs();
          log.error({ retryInMs: Math.round(delayMs) }, `cannot store SVIDs: ${errorMessage(error)}`);
          await sleep(clock, delayMs, signal).catch(() => undefined); // ends when stopped
        }
      }
    } finally {
      subscription.close();
    }
  }

  /** This agent is entitled to nothing any more. @throws the first failure, once all has been tried. */
  async clear(): Promise<void> {
    const failures: unknown[] = [];
    for (const store of this.#options.stores.values()) {
      for (const place of await store.places()) {
        await store.remove(place).catch((error: unknown) => failures.push(error));
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** What an entry has no valid SVID for now stays as it is. @throws the first failure, once all has been tried. */
  async #store(update: PickedEntries): Promise<void> {
    const { log, stores, onAttempt } = this.#options;
    const failures: unknown[] = [];
    const taken = new Map<SvidStore, Map<string, string>>();
    for (const store of stores.values()) taken.set(store, new Map());
    const identities = new Map(update.identities.map((identity) => [identity.entry.id, identity]));
    for (const entry of update.entries) {
      const type = entry.selectors[0]?.type ?? '';
      const store = stores.get(type);
      const names = store === undefined ? undefined : taken.get(store);
      if (store === undefined || names === undefined) {
        this.#misplace(entry.id, `there is no SVID store ${JSON.stringify(type)} in plugins.SVIDStore`);
        continue;
      }
      try {
        const place = store.place(entry.selectors.map(({ value }) => value));
        const other = names.get(place);
        if (other !== undefined) {
          this.#misplace(entry.id, `${place} is that of the older entry ${other}`);
          continue;
        }
        names.set(place, entry.id);
        this.#misplaced.delete(entry.id);
        const result = await put(store, place, identities.get(entry.id), update);
        if (result !== undefined) onAttempt?.(result);
      } catch (error) {
        // Another attempt does not make a name of what is none.
        if (hasReason(error, 'invalid_argument')) {
          this.#misplace(entry.id, error.message);
          continue;
        }
        onAttempt?.('failed');
        failures.push(error);
      }
    }
    for (const [store, names] of taken) {
      for (const place of await store.places()) {
        if (names.has(place)) continue;
        await store.remove(place);
        onAttempt?.('removed');
        log.info({ place }, 'removed a stored SVID whose entry has gone');
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #misplace(entryId: string, why: string): void {
    if (this.#misplaced.get(entryId) === why) return;
    this.#misplaced.set(entryId, why);
    this.#options.onAttempt?.('misplaced');
    this.#options.log.warn({ entryId }, `an SVID that is to be stored has no place: ${why}`);
  }
}

/** @returns undefined while there is nothing to store. */
async function put(
  store: SvidStore,
  place: string,
  identity: WorkloadIdentity | undefined,
  update: PickedEntries,
): Promise<StoreResult | undefined> {
  const delivered = identity === undefined ? undefined : deliveredIdentity(identity, update);
  if (delivered === undefined) return undefined;
  return (await store.put(place, delivered)) ? 'stored' : 'unchanged';
}
