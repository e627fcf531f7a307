/** Plans what a file of entries would change, and makes it so in one revision, planned anew under the lock that the revision holds. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { Turn } from '@bonafide/shared/runtime/turn';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AccessScope } from '../access/scope.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { Store, WriteTransaction } from '../store/store.js';
import { awaitRevision } from './await-revision.js';
import type { EntryFile } from './entry-file.js';
import { planEffects, supposedChanges, type PlanEffects } from './plan-effects.js';
import { planEntries, type EntryPlan } from './plan-entries.js';
import { PlanRights } from './plan-rights.js';
import { writeChanges } from './write-changes.js';

export interface EntryPlansOptions {
  readonly store: Pick<Store, 'write'>;
  readonly graph: EntryGraph;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
}

export interface PlannedEntries {
  readonly plan: EntryPlan;
  readonly effects: PlanEffects;
  /** Of the registry that was looked at. */
  readonly revision: number;
  /** In which it was applied; undefined when nothing was written. */
  readonly appliedRevision: number | undefined;
}

interface Application {
  readonly file: EntryFile;
  readonly scope: AccessScope | undefined;
  readonly early: PlannedEntries;
  readonly digest: string | undefined;
}

/** So often is a registry looked at anew that changed while it was looked at. */
const MOST_LOOKS = 3;

export class EntryPlans {
  readonly #options: EntryPlansOptions;

  constructor(options: EntryPlansOptions) {
    this.#options = options;
  }

  /** @throws BonafideError `invalid_argument` for a file that is wrong as a whole; what is wrong with an entry is in the plan. */
  async plan(file: EntryFile, scope?: AccessScope): Promise<PlannedEntries> {
    for (let looks = 1; ; looks += 1) {
      const planned = await this.#look(file, scope);
      // Where it changes all the time, this may be a plan of two moments. It is held against the registry once more when it is applied.
      if (this.#options.graph.revision === planned.revision || looks === MOST_LOOKS) return planned;
    }
  }

  /**
   * All of it or nothing: without changes, or with an entry that is refused, it takes no revision.
   * @param digest of the plan that was shown; undefined: whatever the plan is.
   * @param scope of who asks, here and above: what is outside of it is neither seen nor changed.
   * @throws BonafideError `failed_precondition` when the plan is another one by now; `invalid_argument` as `plan`.
   */
  async apply(file: EntryFile, digest?: string, scope?: AccessScope): Promise<PlannedEntries> {
    // Before the lock, for which everybody else would wait meanwhile.
    const early = await this.plan(file, scope);
    try {
      return await this.#options.store.write((transaction) =>
        this.#applyIn(transaction, { file, scope, early, digest }),
      );
    } catch (error) {
      if (error instanceof NothingWritten) return error.planned;
      throw error;
    }
  }

  async #look(file: EntryFile, scope: AccessScope | undefined): Promise<PlannedEntries> {
    const { clock, graph, trustDomain } = this.#options;
    const { revision } = graph;
    const turn = new Turn(clock);
    const rights = scope === undefined ? undefined : new PlanRights(scope, graph);
    const registry = rights?.seen ?? graph;
    const plan = await planEntries(file, registry, { trustDomain, now: clock.now(), turn, rights });
    const reach = graph.suppose(supposedChanges(plan.changes));
    const effects = await planEffects(plan.changes, { reach, turn });
    return {
      plan,
      effects: rights === undefined ? effects : rights.effectsSeen(effects),
      revision,
      appliedRevision: undefined,
    };
  }

  async #applyIn(
    transaction: WriteTransaction,
    { file, scope, early, digest }: Application,
  ): Promise<PlannedEntries> {
    const { clock, graph } = this.#options;
    // The lock lets nobody commit: with all before it in the graph, the graph is what this transaction sees.
    const before = transaction.revision - 1;
    await awaitRevision(graph, before, clock);
    const planned = early.revision === before ? early : await this.#look(file, scope);
    const { changes, refused } = planned.plan;
    if (refused.length > 0) throw new NothingWritten(planned);
    if (digest !== undefined && digest !== planned.plan.digest) {
      throw new BonafideError(
        'failed_precondition',
        'nothing was changed: the registry has changed since the plan was made; plan again',
      );
    }
    if (changes.length === 0) throw new NothingWritten(planned);
    await writeChanges(transaction, changes, clock.now());
    return { ...planned, appliedRevision: transaction.revision };
  }
}

/** Undoes the transaction, and with it its revision. */
class NothingWritten extends Error {
  override readonly name = 'NothingWritten';
  readonly planned: PlannedEntries;

  constructor(planned: PlannedEntries) {
    super('nothing was written');
    this.planned = planned;
  }
}
