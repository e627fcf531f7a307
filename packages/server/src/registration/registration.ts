/** What may exist: creates, changes and deletes registration entries in batches, each item with an outcome of its own. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { requireUnprivileged } from '../access/privileged-ids.js';
import type { AccessScope } from '../access/scope.js';
import type { EntryFilter } from '../store/entry-record.js';
import type { Page, PageRequest, Store, WriteTransaction } from '../store/store.js';
import { validateEntry, validateEntryId } from './validate-entry.js';

export interface NewEntry {
  /** Undefined: a new UUID. */
  readonly id: string | undefined;
  readonly content: RegistrationEntryContent;
}

/** A field that is present replaces the entry's, also when it is undefined; one that is absent leaves it. */
export interface EntryChange {
  readonly id: string;
  readonly changes: Partial<RegistrationEntryContent>;
}

export interface Refused {
  readonly kind: 'refused';
  readonly error: BonafideError;
}

export type CreateOutcome =
  | { readonly kind: 'created'; readonly entry: RegistrationEntry }
  /** The same SPIFFE ID, parent ID and selectors are registered; this is that entry, and nothing was written. */
  | { readonly kind: 'similar'; readonly entry: RegistrationEntry }
  | Refused;

export type UpdateOutcome = { readonly kind: 'updated'; readonly entry: RegistrationEntry } | Refused;

export type DeleteOutcome = { readonly kind: 'deleted'; readonly entry: RegistrationEntry } | Refused;

/** In the order of what was asked for. */
export interface BatchResult<T> {
  readonly outcomes: readonly T[];
  /** The revision in which the batch was committed; undefined when there was nothing to commit. */
  readonly revision: number | undefined;
}

export interface RegistrationOptions {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
}

/** Items after which a batch lets other work have its turn. */
const ITEMS_A_TURN = 32;
const PRUNED_AT_A_TIME = 500;
const ABOUT_THE_ITEM = [
  'invalid_argument',
  'not_found',
  'already_exists',
  'failed_precondition',
  'permission_denied',
] as const;

export class Registration {
  readonly #store: Store;
  readonly #trustDomain: TrustDomain;
  readonly #clock: Clock;

  constructor(options: RegistrationOptions) {
    this.#store = options.store;
    this.#trustDomain = options.trustDomain;
    this.#clock = options.clock;
  }

  /** Undefined when there is none. @param scope of who asks, here and below: what is outside of it is not there. */
  async getEntry(id: string, scope?: AccessScope): Promise<RegistrationEntry | undefined> {
    return visible(await this.#store.entries.get(id), scope);
  }

  listEntries(filter: EntryFilter, page: PageRequest): Promise<Page<RegistrationEntry>> {
    return this.#store.entries.list(filter, page);
  }

  countEntries(filter: EntryFilter): Promise<number> {
    return this.#store.entries.count(filter);
  }

  createEntries(entries: readonly NewEntry[], scope?: AccessScope): Promise<BatchResult<CreateOutcome>> {
    const createdAt = this.#clock.now();
    return this.#batch(
      entries,
      ({ id, content }) => {
        if (id !== undefined) validateEntryId(id);
        validateEntry(content, this.#trustDomain);
        scope?.require('create', content);
        if (id !== undefined) scope?.requireEntryId(id);
      },
      async ({ id, content }, transaction): Promise<CreateOutcome> => {
        await requireUnprivileged(content, transaction.entries, scope);
        const similar = await transaction.entries.findSimilar(content);
        if (similar !== undefined) return { kind: 'similar', entry: similar };
        await requireBundles(content.federatesWith, transaction);
        return { kind: 'created', entry: await transaction.entries.create(content, { id, createdAt }) };
      },
    );
  }

  updateEntries(entries: readonly EntryChange[], scope?: AccessScope): Promise<BatchResult<UpdateOutcome>> {
    return this.#batch(
      entries,
      ({ id }) => {
        requireId(id);
      },
      async ({ id, changes }, transaction): Promise<UpdateOutcome> => {
        const before = visible(await transaction.entries.get(id), scope);
        if (before === undefined) throw new BonafideError('not_found', 'entry not found');
        scope?.require('update', before);
        const content = { ...before, ...changes };
        validateEntry(content, this.#trustDomain);
        scope?.require('update', content);
        for (const each of [before, content]) await requireUnprivileged(each, transaction.entries, scope);
        if (changes.federatesWith !== undefined) await requireBundles(changes.federatesWith, transaction);
        return { kind: 'updated', entry: await transaction.entries.update(id, content) };
      },
    );
  }

  deleteEntries(ids: readonly string[], scope?: AccessScope): Promise<BatchResult<DeleteOutcome>> {
    return this.#batch(ids, requireId, async (id, transaction): Promise<DeleteOutcome> => {
      if (scope !== undefined) {
        const before = visible(await transaction.entries.get(id), scope);
        if (before === undefined) throw new BonafideError('not_found', 'entry not found');
        scope.require('delete', before);
        await requireUnprivileged(before, transaction.entries, scope);
      }
      return { kind: 'deleted', entry: await transaction.entries.delete(id) };
    });
  }

  /** Deletes what has expired. @returns what that was. */
  async pruneExpired(): Promise<readonly RegistrationEntry[]> {
    const now = this.#clock.now();
    const expired = await this.#store.entries.listExpired(now);
    const pruned: RegistrationEntry[] = [];
    for (let start = 0; start < expired.length; start += PRUNED_AT_A_TIME) {
      const some = expired.slice(start, start + PRUNED_AT_A_TIME);
      await this.#store.write(async ({ entries }) => {
        for (const { id } of some) {
          // It may have been given more time, or deleted, since it was listed.
          const entry = await entries.get(id);
          if (entry?.expiresAt === undefined || entry.expiresAt > now) continue;
          pruned.push(await entries.delete(id));
        }
      });
    }
    return pruned;
  }

  /**
   * One transaction for all. Whatever may be wrong with an item is found before anything of it is written, so that a refused item leaves
   * nothing behind and the others stand; anything unforeseen undoes the whole batch.
   */
  async #batch<Item, Outcome>(
    items: readonly Item[],
    validate: (item: Item) => void,
    apply: (item: Item, transaction: WriteTransaction) => Promise<Outcome>,
  ): Promise<BatchResult<Outcome | Refused>> {
    const refusals = items.map((item) => {
      try {
        validate(item);
        return undefined;
      } catch (error) {
        return refused(error);
      }
    });
    if (refusals.every((refusal) => refusal !== undefined))
      return { outcomes: refusals, revision: undefined };
    return this.#store.write(async (transaction) => {
      const outcomes: (Outcome | Refused)[] = [];
      for (const [index, item] of items.entries()) {
        if (index > 0 && index % ITEMS_A_TURN === 0) await nextTurn();
        outcomes.push(refusals[index] ?? (await apply(item, transaction).catch(refused)));
      }
      return { outcomes, revision: transaction.revision };
    });
  }
}

/** @throws what is not about the item. */
function refused(error: unknown): Refused {
  if (hasReason(error, ...ABOUT_THE_ITEM)) return { kind: 'refused', error };
  throw error;
}

function visible(
  entry: RegistrationEntry | undefined,
  scope: AccessScope | undefined,
): RegistrationEntry | undefined {
  return entry === undefined || scope?.mayRead(entry.spiffeId) === false ? undefined : entry;
}

function requireId(id: string): void {
  if (id === '') throw invalidArgument('entry id is missing');
}

async function requireBundles(
  trustDomains: readonly TrustDomain[],
  transaction: WriteTransaction,
): Promise<void> {
  for (const trustDomain of trustDomains) {
    if ((await transaction.bundles.get(trustDomain)) !== undefined) continue;
    throw new BonafideError(
      'failed_precondition',
      `there is no bundle of federated trust domain ${trustDomain}; set it first`,
    );
  }
}
