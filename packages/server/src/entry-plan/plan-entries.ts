/** What has to change for the registry to be as a file says; entries that the file does not own are never among it. */
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import type { Turn } from '@bonafide/shared/runtime/turn';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { NewEntry } from '../registration/registration.js';
import { validateEntry, validateEntryId } from '../registration/validate-entry.js';
import { differingFields, similarityText } from './entry-fields.js';
import { MOST_ENTRIES, type EntryFile } from './entry-file.js';
import { isInScope } from './entry-scope.js';
import type { PlanRights } from './plan-rights.js';
import { digestOf, type PlannedChange, type PlannedCreation, type PlannedUpdate } from './planned-change.js';
import { RegisteredEntries, type PlannedRegistry } from './registered-entries.js';

export interface EntryPlan {
  /** Deleted entries first, then updated, then created ones; each in a fixed order. */
  readonly changes: readonly PlannedChange[];
  readonly unchanged: number;
  /** Entries of the file whose time is over. */
  readonly expired: number;
  /** Entries that pruning would delete and that stay. */
  readonly unlisted: number;
  readonly refused: readonly { readonly index: number; readonly error: BonafideError }[];
  /** Equal for equal changes of equal entries. */
  readonly digest: string;
}

interface PlanContext {
  readonly trustDomain: TrustDomain;
  readonly now: Date;
  readonly turn: Turn;
  /** Of who asks; undefined: nothing limits them. */
  readonly rights?: PlanRights | undefined;
}

/** An entry of the file that may be registered. */
interface WantedEntry {
  readonly index: number;
  readonly id: string | undefined;
  readonly content: RegistrationEntryContent;
  /** By `similarityText`. */
  readonly text: string;
}

const MOST_PRUNED = 10_000;

/**
 * Pauses now and then; the registry should be the same all the while.
 * @throws BonafideError `invalid_argument` for a file that is wrong as a whole.
 */
export function planEntries(
  file: EntryFile,
  registry: PlannedRegistry,
  context: PlanContext,
): Promise<EntryPlan> {
  return new Planning(file, registry, context).plan();
}

class Planning {
  readonly #file: EntryFile;
  readonly #registered: RegisteredEntries;
  readonly #context: PlanContext;
  readonly #refused = new Map<number, BonafideError>();
  /** The place in the file of what is registered, by its ID, and of each of its entries, by what makes them similar. */
  readonly #claimed = new Map<string, number>();
  readonly #similar = new Map<string, number>();
  /** By the place in the file. */
  readonly #matches = new Map<number, RegistrationEntry>();
  #expired = 0;

  constructor(file: EntryFile, registry: PlannedRegistry, context: PlanContext) {
    this.#file = file;
    this.#registered = new RegisteredEntries(registry);
    this.#context = context;
  }

  async plan(): Promise<EntryPlan> {
    const { turn } = this.#context;
    const wanted = await this.#wanted();
    for await (const entry of turn.through(wanted)) this.#matchById(entry);
    for await (const entry of turn.through(wanted)) this.#matchSimilar(entry);
    const unlisted = await this.#unlisted();
    const deleted = this.#file.prunes ? unlisted : [];
    for await (const before of turn.through(deleted)) this.#context.rights?.require('delete', before);
    const deletedIds = new Set(deleted.map(({ id }) => id));
    const updated: PlannedUpdate[] = [];
    const created: PlannedCreation[] = [];
    let unchanged = 0;
    for await (const entry of turn.through(wanted)) {
      const change = this.#change(entry, deletedIds);
      if (change?.kind === 'update') updated.push(change);
      else if (change?.kind === 'create') created.push(change);
      else if (!this.#refused.has(entry.index)) unchanged += 1;
    }
    const deletions = deleted.map((before) => ({ kind: 'delete' as const, before }));
    const changes = [...deletions, ...updated, ...created];
    return {
      changes,
      unchanged,
      expired: this.#expired,
      unlisted: unlisted.length - deleted.length,
      refused: Array.from(this.#refused, ([index, error]) => ({ index, error })),
      digest: await digestOf(changes, turn),
    };
  }

  async #wanted(): Promise<readonly WantedEntry[]> {
    const { entries, prunes, scope } = this.#file;
    if (entries.length > MOST_ENTRIES) {
      throw invalidArgument(`the file has ${entries.length} entries; at most ${MOST_ENTRIES} are accepted`);
    }
    if (prunes && scope === undefined) {
      throw invalidArgument('pruning needs a scope: what the file owns, as the prefix of SPIFFE IDs');
    }
    const wanted: WantedEntry[] = [];
    for await (const [index, item] of this.#context.turn.through(entries.entries())) {
      const entry = this.#trying(index, () => this.#checked(item, index));
      if (entry !== undefined) wanted.push(entry);
    }
    return wanted;
  }

  /** Undefined when its time is over. */
  #checked(item: NewEntry | BonafideError, index: number): WantedEntry | undefined {
    if (item instanceof BonafideError) throw item;
    const { id, content } = item;
    const { trustDomain, now } = this.#context;
    if (id !== undefined) validateEntryId(id);
    validateEntry(content, trustDomain);
    const { scope } = this.#file;
    if (scope !== undefined && !isInScope(scope, content.spiffeId)) {
      throw invalidArgument(`${content.spiffeId} is outside of the scope of the file, ${scope}`);
    }
    const text = similarityText(content);
    once(this.#similar, text, index, 'SPIFFE ID, parent ID and selectors');
    this.#context.rights?.requireSome(content);
    const missing = content.federatesWith.find((name) => !this.#registered.hasBundle(name));
    if (missing !== undefined) {
      throw invalidArgument(`there is no bundle of federated trust domain ${missing}; set it first`);
    }
    if (content.expiresAt === undefined || content.expiresAt > now) return { index, id, content, text };
    this.#expired += 1;
    return undefined;
  }

  #matchById({ id, index }: WantedEntry): void {
    if (id === undefined) return;
    this.#trying(index, () => {
      once(this.#claimed, id, index, 'entry ID');
      const registered = this.#registered.get(id);
      if (registered === undefined) return;
      const { scope } = this.#file;
      if (scope !== undefined && !isInScope(scope, registered.spiffeId)) {
        throw invalidArgument(
          `entry ${id} is registered for ${registered.spiffeId}, outside of the scope of the file, ${scope}`,
        );
      }
      this.#matches.set(index, registered);
    });
  }

  #matchSimilar({ id, index, content, text }: WantedEntry): void {
    if (id !== undefined) return;
    const similar = this.#registered.similar(content.spiffeId, text);
    const registered = similar.find((each) => !this.#claimed.has(each.id));
    if (registered === undefined) return;
    this.#claimed.set(registered.id, index);
    this.#matches.set(index, registered);
  }

  /** What the file owns and does not have. */
  async #unlisted(): Promise<readonly RegistrationEntry[]> {
    const { prunes, scope } = this.#file;
    if (scope === undefined) return [];
    const { now, turn } = this.#context;
    const owned = await this.#registered.inScope(scope, now, turn);
    const unlisted = owned.filter(({ id }) => !this.#claimed.has(id));
    if (unlisted.length <= MOST_PRUNED || !prunes) return unlisted;
    throw invalidArgument(
      `pruning would delete ${unlisted.length} entries; at most ${MOST_PRUNED} are deleted at a time: narrow the scope`,
    );
  }

  /** Undefined when it is refused or there is nothing to change. */
  #change(
    { index, id, content, text }: WantedEntry,
    deleted: ReadonlySet<string>,
  ): PlannedCreation | PlannedUpdate | undefined {
    if (this.#refused.has(index)) return undefined;
    const before = this.#matches.get(index);
    return this.#trying(index, () => {
      const conflict = this.#registered
        .similar(content.spiffeId, text)
        .find((each) => each.id !== before?.id && !deleted.has(each.id) && !this.#claimed.has(each.id));
      // Where two were registered already, one of them is the file's and the other one is not its concern.
      if (conflict !== undefined && (before === undefined || similarityText(before) !== text)) {
        throw new BonafideError(
          'already_exists',
          `a similar entry is registered as ${conflict.id}; name it with entry_id, or delete it`,
        );
      }
      const { rights } = this.#context;
      if (before === undefined) {
        rights?.require('create', content, id);
        return { kind: 'create', id, after: content };
      }
      const fields = differingFields(before, content);
      if (fields.length === 0) return undefined;
      rights?.require('update', before);
      rights?.require('update', content);
      return { kind: 'update', before, after: content, fields };
    });
  }

  #trying<T>(index: number, work: () => T | undefined): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!hasReason(error, 'invalid_argument', 'already_exists', 'permission_denied')) throw error;
      this.#refused.set(index, error);
      return undefined;
    }
  }
}

function once(seen: Map<string, number>, key: string, index: number, what: string): void {
  const first = seen.get(key);
  if (first !== undefined) throw invalidArgument(`has the same ${what} as entries[${first}]`);
  seen.set(key, index);
}
