/** Why somebody may call or change something, or may not: asked of the same rules that decide. */
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryReader } from '../store/entry-record.js';
import type { Verb } from './access-role.js';
import type { Caller } from './caller.js';
import type { DefaultTtls, JudgedEntry } from './judge-entry.js';
import { requireUnprivileged } from './privileged-ids.js';
import { allowedCallers } from './rpc-callers.js';
import { rpcScope } from './rpc-scopes.js';
import { AccessScope, type Verdict } from './scope.js';
import { rolesOf, standingsOf, type Standing, type StandingOptions, type Subject } from './standings.js';

export interface ExplainAccessOptions extends StandingOptions {
  readonly entries: Pick<EntryReader, 'count' | 'get'>;
  readonly defaultTtls: DefaultTtls;
}

export type AccessQuestion =
  | { readonly kind: 'rpc'; readonly path: string }
  | { readonly kind: 'entry'; readonly verb: Verb; readonly entry: JudgedEntry | { readonly id: string } };

export interface AccessExplanation {
  readonly standings: readonly Standing[];
  readonly roles: readonly string[];
  /** Undefined when nothing was asked. */
  readonly verdict: Verdict | undefined;
}

export class AccessExplanations {
  readonly #options: ExplainAccessOptions;

  constructor(options: ExplainAccessOptions) {
    this.#options = options;
  }

  /**
   * @param asker sees what its own scope has; undefined: everything.
   * @throws BonafideError `not_found` for an entry that is not there; `invalid_argument` for an RPC that is not served.
   */
  async explain(
    subject: Subject,
    question: AccessQuestion | undefined,
    asker: AccessScope | undefined,
  ): Promise<AccessExplanation> {
    const standings = standingsOf(subject, this.#options);
    const roles = rolesOf(subject, this.#options.roles);
    const isScoped = standings.some(({ kind }) => kind === 'scoped_admin');
    return {
      standings,
      roles: roles.map(({ name }) => name),
      verdict:
        question === undefined
          ? undefined
          : question.kind === 'rpc'
            ? this.#judgeRpc(question.path, standings, roles)
            : await this.#judgeEntry(question, {
                standings,
                scope: isScoped ? this.#scopeOf(subject) : undefined,
                asker,
              }),
    };
  }

  #judgeRpc(
    path: string,
    standings: readonly Standing[],
    roles: readonly { readonly name: string; readonly verbs: ReadonlySet<Verb> }[],
  ): Verdict {
    const allowed = callersOf(path);
    if (allowed === 'anyone') return { isAllowed: true, because: [`${path} is open to anyone`] };
    for (const { kind, because } of standings) {
      if (!allowed.includes(kind)) continue;
      if (kind !== 'scoped_admin')
        return { isAllowed: true, because: [`${path} is open to ${kind}: ${because}`] };
      const verbs = rpcScope(path)?.verbs;
      const role = roles.find((one) => verbs === undefined || verbs.some((verb) => one.verbs.has(verb)));
      if (role !== undefined) {
        return { isAllowed: true, because: [`${path} is open within the scope of role ${role.name}`] };
      }
      return {
        isAllowed: false,
        because: [`${path} takes a role with the verb ${(verbs ?? []).join(' or ')}`],
      };
    }
    return { isAllowed: false, because: [`${path} is open to ${allowed.join(', ')} only`] };
  }

  async #judgeEntry(
    { verb, entry: asked }: Extract<AccessQuestion, { kind: 'entry' }>,
    parts: {
      readonly standings: readonly Standing[];
      readonly scope: AccessScope | undefined;
      readonly asker: AccessScope | undefined;
    },
  ): Promise<Verdict> {
    const { standings, scope, asker } = parts;
    const entry = 'id' in asked ? await this.#entry(asked.id, asker) : asked;
    const operator = standings.find(({ kind }) => kind === 'local_admin' || kind === 'admin');
    if (operator !== undefined)
      return { isAllowed: true, because: [`nothing limits ${operator.kind}: ${operator.because}`] };
    if (scope === undefined) {
      return { isAllowed: false, because: ['the caller is neither an operator nor a member of a role'] };
    }
    if (verb === 'read') return judgeReading(scope, entry.spiffeId);
    if (verb === 'read_agents')
      throw invalidArgument('entry.verb: read_agents is about agents, not about entries');
    const verdict =
      verb === 'mint' ? judgeMint(scope, entry, this.#options.defaultTtls) : scope.judge(verb, entry);
    if (!verdict.isAllowed) return verdict;
    try {
      await requireUnprivileged(entry, this.#options.entries, scope);
      return verdict;
    } catch (error) {
      if (!hasReason(error, 'permission_denied')) throw error;
      return { isAllowed: false, because: [error.message] };
    }
  }

  async #entry(id: string, asker: AccessScope | undefined): Promise<JudgedEntry> {
    const entry = await this.#options.entries.get(id);
    if (entry === undefined || asker?.mayRead(entry.spiffeId) === false) {
      throw new BonafideError('not_found', 'entry not found');
    }
    return entry;
  }

  #scopeOf(subject: Subject): AccessScope {
    const { adminIds, defaultTtls, roles: allRoles } = this.#options;
    return new AccessScope({ roles: rolesOf(subject, allRoles), allRoles, adminIds, defaultTtls });
  }
}

/** The one who asks. @throws BonafideError `internal` for a caller who is never let in to ask. */
export function subjectOf(caller: Caller, gids: readonly number[]): Subject {
  if (caller.kind === 'local_admin') return { kind: 'local', uid: caller.uid, gids };
  if (caller.kind === 'admin') return { kind: 'svid', spiffeId: caller.spiffeId };
  if (caller.kind === 'scoped_admin') {
    const { spiffeId, uid } = caller;
    if (spiffeId !== undefined) return { kind: 'svid', spiffeId };
    if (uid !== undefined) return { kind: 'local', uid, gids };
  }
  throw new BonafideError('internal', 'the caller cannot ask about itself');
}

function judgeReading(scope: AccessScope, spiffeId: SpiffeId): Verdict {
  if (scope.mayRead(spiffeId))
    return { isAllowed: true, because: [`a role has the verb read and covers ${spiffeId}`] };
  return {
    isAllowed: false,
    because: [`no role with the verb read covers ${spiffeId}: to the caller it is not there`],
  };
}

function judgeMint(
  scope: AccessScope,
  { spiffeId, dnsNames, x509SvidTtlSeconds }: JudgedEntry,
  { x509Seconds }: DefaultTtls,
): Verdict {
  return scope.judgeMint({
    kind: 'X.509',
    spiffeId,
    dnsNames,
    ttlSeconds: x509SvidTtlSeconds ?? x509Seconds,
  });
}

function callersOf(path: string): ReturnType<typeof allowedCallers> {
  try {
    return allowedCallers(path);
  } catch (error) {
    if (!hasReason(error, 'permission_denied')) throw error;
    throw invalidArgument(
      `rpc: ${JSON.stringify(path.slice(0, 200))} is not served; expected for example /spire.api.server.entry.v1.Entry/ListEntries`,
    );
  }
}
