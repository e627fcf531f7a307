/** How far the right of a scoped admin goes: what its roles cover, and nothing that would give it more. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AccessRole, Verb } from './access-role.js';
import type { AccessRoles } from './access-roles.js';
import {
  brokenMintRule,
  brokenRule,
  type DefaultTtls,
  type JudgedEntry,
  type JudgedMint,
} from './judge-entry.js';
import { matchesSpiffeId, type SpiffeIdPattern } from './spiffe-id-pattern.js';

export interface ScopeOptions {
  /** Of the caller. */
  readonly roles: readonly AccessRole[];
  /** Of everybody. */
  readonly allRoles: Pick<AccessRoles, 'ofSpiffeId'>;
  readonly adminIds: ReadonlySet<SpiffeId>;
  readonly defaultTtls: DefaultTtls;
}

export interface Verdict {
  readonly isAllowed: boolean;
  /** The role that allows it, or the rule of each role that does not. */
  readonly because: readonly string[];
}

export class AccessScope {
  readonly roles: readonly AccessRole[];
  readonly #options: ScopeOptions;

  constructor(options: ScopeOptions) {
    this.roles = options.roles;
    this.#options = options;
  }

  /** Under which SPIFFE IDs entries may be seen: sorted, none within another. What is not under one of them is not there. */
  get readPrefixes(): readonly string[] {
    const all = [...new Set(this.#with('read').map(({ spiffeIdPrefix }) => spiffeIdPrefix))].sort();
    return all.filter((prefix) => !all.some((other) => other !== prefix && prefix.startsWith(other)));
  }

  /** Whether entries with this SPIFFE ID may be seen. */
  mayRead(spiffeId: SpiffeId): boolean {
    return this.#with('read').some(({ spiffeIdPrefix }) => spiffeId.startsWith(spiffeIdPrefix));
  }

  get readableAgents(): readonly SpiffeIdPattern[] {
    return this.#with('read_agents').flatMap(({ parents }) => parents);
  }

  get rolesThatReadAgents(): readonly string[] {
    return this.#with('read_agents').map(({ name }) => name);
  }

  mayReadAgent(agentId: SpiffeId): boolean {
    return this.readableAgents.some((pattern) => matchesSpiffeId(pattern, agentId));
  }

  may(verb: Verb, entry: JudgedEntry): boolean {
    return this.judge(verb, entry).isAllowed;
  }

  /** One role has to allow all of it. */
  judge(verb: Verb, entry: JudgedEntry): Verdict {
    return this.#judge(verb, entry.spiffeId, (role) => brokenRule(role, entry, this.#options.defaultTtls));
  }

  judgeMint(svid: JudgedMint): Verdict {
    return this.#judge('mint', svid.spiffeId, (role) => brokenMintRule(role, svid));
  }

  /** @throws BonafideError `permission_denied` naming the rule of each role that was asked. */
  require(verb: Verb, entry: JudgedEntry): void {
    requireAllowed(this.judge(verb, entry));
  }

  /** @throws BonafideError as `require`. */
  requireMint(svid: JudgedMint): void {
    requireAllowed(this.judgeMint(svid));
  }

  /**
   * Whether an ID is taken shows when it is asked for, so that whoever chooses one does so among its own.
   * @throws BonafideError `permission_denied`.
   */
  requireEntryId(id: string): void {
    const own = this.#with('create').map(({ name }) => `${name}.`);
    if (own.some((start) => id.startsWith(start))) return;
    throw new BonafideError(
      'permission_denied',
      `entry id ${JSON.stringify(id)} does not begin with ${own.join(' or ')}; leave it out to have one made`,
    );
  }

  #judge(verb: Verb, spiffeId: SpiffeId, broken: (role: AccessRole) => string | undefined): Verdict {
    const roles = this.#with(verb);
    if (roles.length === 0) return refused([`no role of the caller has the verb ${verb}`]);
    const reasons: string[] = [];
    for (const role of roles) {
      const rule = broken(role);
      if (rule !== undefined) {
        reasons.push(`role ${role.name} ${rule}`);
        continue;
      }
      const privilege = this.#privilegeOf(spiffeId);
      return privilege === undefined
        ? { isAllowed: true, because: [`role ${role.name} has the verb ${verb} and covers it`] }
        : refused([privilege]);
    }
    return refused(reasons);
  }

  /** What an SVID of this ID gives that the caller does not have; undefined: nothing. */
  #privilegeOf(spiffeId: SpiffeId): string | undefined {
    const { adminIds, allRoles } = this.#options;
    if (adminIds.has(spiffeId)) return `${spiffeId} is an admin of the trust domain`;
    const own = new Set(this.roles.map(({ name }) => name));
    const hasMore = allRoles.ofSpiffeId(spiffeId).some(({ name }) => !own.has(name));
    return hasMore ? `${spiffeId} has a role that the caller does not have` : undefined;
  }

  #with(verb: Verb): readonly AccessRole[] {
    return this.roles.filter(({ verbs }) => verbs.has(verb));
  }
}

function refused(because: readonly string[]): Verdict {
  return { isAllowed: false, because };
}

function requireAllowed({ isAllowed, because }: Verdict): void {
  if (!isAllowed) throw new BonafideError('permission_denied', because.join('; '));
}
