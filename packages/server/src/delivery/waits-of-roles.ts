/** How much of what a server can wait for the members of roles may take: a part, so that operators always find room, and no role takes that of the others. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

const WAITS_OF_A_ROLE = 100;
const WAITS_OF_ALL_ROLES = 500;
/** Of one role, over all its waits; one wait alone may follow more. */
const FOLLOWED_BY_A_ROLE = 100_000;
const FOLLOWED_BY_ALL_ROLES = 500_000;
const RETRY_AFTER_MS = 1_000;

interface Taken {
  waits: number;
  followed: number;
}

/** One wait of a member, until it is ended. */
export interface RoleWait {
  /** To be called once, before the agents are followed. @throws BonafideError `resource_exhausted`. */
  follow(agentCount: number): void;
  end(): void;
}

export class WaitsOfRoles {
  /** Only roles with a wait. */
  readonly #byRole = new Map<string, Taken>();
  readonly #all: Taken = { waits: 0, followed: 0 };

  /**
   * @param roles of the caller, at least one: the wait counts for the one that has the fewest.
   * @throws BonafideError `resource_exhausted`.
   */
  begin(roles: readonly string[]): RoleWait {
    const role = this.#leastBusy(roles);
    const taken = this.#byRole.get(role) ?? { waits: 0, followed: 0 };
    if (taken.waits >= WAITS_OF_A_ROLE) throw tooMany(`role ${role} waits for ${WAITS_OF_A_ROLE} deliveries`);
    if (this.#all.waits >= WAITS_OF_ALL_ROLES) {
      throw tooMany(`members of roles wait for ${WAITS_OF_ALL_ROLES} deliveries`);
    }
    this.#byRole.set(role, taken);
    const counts = [taken, this.#all];
    for (const each of counts) each.waits += 1;
    let followed = 0;
    return {
      follow: (agentCount) => {
        if (taken.waits > 1 && taken.followed + agentCount > FOLLOWED_BY_A_ROLE) {
          throw tooMany(`role ${role} waits for deliveries to ${FOLLOWED_BY_A_ROLE} agents`);
        }
        if (this.#all.followed + agentCount > FOLLOWED_BY_ALL_ROLES) {
          throw tooMany(`members of roles wait for deliveries to ${FOLLOWED_BY_ALL_ROLES} agents`);
        }
        followed = agentCount;
        for (const each of counts) each.followed += followed;
      },
      end: () => {
        for (const each of counts) {
          each.waits -= 1;
          each.followed -= followed;
        }
        if (taken.waits === 0) this.#byRole.delete(role);
      },
    };
  }

  #leastBusy(roles: readonly string[]): string {
    const waitsOf = (role: string): number => this.#byRole.get(role)?.waits ?? 0;
    return roles.reduce((best, role) => (waitsOf(role) < waitsOf(best) ? role : best));
  }
}

function tooMany(what: string): BonafideError {
  return new BonafideError(
    'resource_exhausted',
    `${what} already, which is all that is kept for them; try again when some have ended, with a shorter --wait or fewer at a time`,
    { retryAfterMs: RETRY_AFTER_MS },
  );
}
