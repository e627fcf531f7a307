/** A plan through the eyes of a scoped admin: entries outside of its scope are not there, and what it may not change is refused. */
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Verb } from '../access/access-role.js';
import { privileged } from '../access/privileged-ids.js';
import type { AccessScope } from '../access/scope.js';
import type { PlanEffects } from './plan-effects.js';
import type { PlannedRegistry } from './registered-entries.js';

export class PlanRights {
  readonly #scope: AccessScope;
  readonly #registry: PlannedRegistry;

  constructor(scope: AccessScope, registry: PlannedRegistry) {
    this.#scope = scope;
    this.#registry = registry;
  }

  get seen(): PlannedRegistry {
    const [scope, registry] = [this.#scope, this.#registry];
    return {
      entry: (id) => {
        const entry = registry.entry(id);
        return entry !== undefined && scope.mayRead(entry.spiffeId) ? entry : undefined;
      },
      entriesWithSpiffeId: (id) => (scope.mayRead(id) ? registry.entriesWithSpiffeId(id) : []),
      entriesNamed: (isWanted, from, places) =>
        registry.entriesNamed((id) => isWanted(id) && scope.mayRead(id), from, places),
      bundle: (trustDomain) => registry.bundle(trustDomain),
    };
  }

  /** @param id of an entry that is to be created with it. @throws BonafideError `permission_denied`. */
  require(verb: Verb, entry: RegistrationEntryContent, id?: string): void {
    this.#scope.require(verb, entry);
    if (id !== undefined) this.#scope.requireEntryId(id);
    // As the graph has it, which is what the transaction sees that writes the plan.
    const entries = this.#registry.entriesWithSpiffeId(entry.spiffeId);
    if (entries.some(({ isAdmin, isDownstream }) => isAdmin || isDownstream))
      throw privileged(entry.spiffeId);
  }

  /** Before anything is said that depends on what is registered. @throws BonafideError `permission_denied`. */
  requireSome(entry: RegistrationEntryContent): void {
    if (this.#scope.may('update', entry)) return;
    try {
      this.#scope.require('create', entry);
    } catch (error) {
      // Entries that stay as they are may be in the file of whoever sees them.
      if (!hasReason(error, 'permission_denied') || !this.#isRegistered(entry)) throw error;
    }
  }

  effectsSeen({ agents, workloads, isPartial }: PlanEffects): PlanEffects {
    return {
      agents: agents.filter(({ agentId }) => this.#scope.mayReadAgent(agentId)),
      workloads: workloads.filter(({ spiffeId }) => this.#scope.mayRead(spiffeId)),
      isPartial,
    };
  }

  #isRegistered({ spiffeId, parentId, federatesWith }: RegistrationEntryContent): boolean {
    return this.seen
      .entriesWithSpiffeId(spiffeId)
      .some(
        (entry) =>
          entry.parentId === parentId &&
          federatesWith.every((trustDomain) => entry.federatesWith.includes(trustDomain)),
      );
  }
}
