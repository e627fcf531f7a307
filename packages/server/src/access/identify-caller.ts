/** Decides, for one call, as whom its peer may make it; what was true when the connection was made is checked again. */
import { BonafideError, hasReason, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { isLive, type RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { isAgentId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AttestedNode } from '../store/node-record.js';
import type { AccessRole } from './access-role.js';
import type { AccessRoles } from './access-roles.js';
import type { Caller, CallerKind } from './caller.js';
import type { DefaultTtls } from './judge-entry.js';
import type { Peer, PeerSvid } from './peer.js';
import { rpcScope } from './rpc-scopes.js';
import { AccessScope } from './scope.js';

/** What identification looks up; both answers come from memory and are as fresh as the last committed write. */
export interface CallerDirectory {
  node(agentId: SpiffeId): AttestedNode | undefined;
  entriesWithSpiffeId(spiffeId: SpiffeId): readonly RegistrationEntry[];
}

export interface CallerIdentificationOptions {
  readonly directory: CallerDirectory;
  /** Makes the renewed SVID that an agent was first seen to use its current one. */
  readonly activateRenewedSvid: (agentId: SpiffeId, serialNumber: string) => Promise<void>;
  /** Resolves when the directory holds what other servers had committed by now. */
  readonly followClosely: () => Promise<void>;
  readonly adminIds: ReadonlySet<SpiffeId>;
  /** Whom the admin socket serves: the owner of its folder, and root. */
  readonly localAdminUids: ReadonlySet<number>;
  readonly roles: AccessRoles;
  readonly defaultTtls: DefaultTtls;
  readonly clock: Clock;
}

/** `anyone`: nobody is asked who they are. */
export type AllowedCallers = 'anyone' | readonly CallerKind[];

export class CallerIdentification {
  readonly #options: CallerIdentificationOptions;

  constructor(options: CallerIdentificationOptions) {
    this.#options = options;
  }

  /**
   * The first of the allowed kinds that the peer is, tried in SPIRE's order.
   * @throws BonafideError `permission_denied`, or the `agent_*` reason why an agent is refused.
   */
  async identify(method: string, allowed: AllowedCallers, peer: Peer): Promise<Caller> {
    if (allowed === 'anyone') return { kind: 'anonymous' };
    if (peer.kind === 'local') return this.#localCaller(method, allowed, peer);
    const { svid } = peer;
    if (svid === undefined) throw denied(method);
    const isExpired = this.#options.clock.now() > svid.notAfter;
    if (!isExpired) {
      const caller = this.#adminOrDownstream(method, allowed, svid);
      if (caller !== undefined) return caller;
    }
    if (!allowed.includes('agent')) throw denied(method);
    if (isExpired) throw denied(method, 'agent_expired');
    try {
      return await this.#agent(method, allowed, svid);
    } catch (error) {
      // Attested or renewed a moment ago by another server, perhaps; to be refused would cost it its SVID.
      if (!hasReason(error, 'agent_not_attested', 'agent_not_active') || !isAgentId(svid.spiffeId))
        throw error;
      await this.#options.followClosely();
      return this.#agent(method, allowed, svid);
    }
  }

  /** How far the right of the caller goes; undefined: as far as the table of callers says. */
  scopeOf(caller: Caller): AccessScope | undefined {
    if (caller.kind !== 'scoped_admin') return undefined;
    const { adminIds, defaultTtls, roles: allRoles } = this.#options;
    return new AccessScope({ roles: caller.roles, allRoles, adminIds, defaultTtls });
  }

  #localCaller(
    method: string,
    allowed: readonly CallerKind[],
    { uid, pid, gids = [] }: Extract<Peer, { kind: 'local' }>,
  ): Caller {
    const { localAdminUids, roles } = this.#options;
    if (localAdminUids.has(uid)) {
      if (allowed.includes('local_admin')) return { kind: 'local_admin', uid, pid };
      throw denied(method);
    }
    const entitled = rolesFor(method, allowed, roles.ofLocalUser({ uid, gids }));
    if (entitled === undefined) throw denied(method);
    return { kind: 'scoped_admin', uid, spiffeId: undefined, roles: entitled };
  }

  #adminOrDownstream(
    method: string,
    allowed: readonly CallerKind[],
    { spiffeId }: PeerSvid,
  ): Caller | undefined {
    const isAdminAllowed = allowed.includes('admin');
    if (isAdminAllowed && this.#options.adminIds.has(spiffeId)) return { kind: 'admin', spiffeId };
    if (!isAdminAllowed && !allowed.includes('downstream')) return undefined;
    const now = this.#options.clock.now();
    const entries = this.#options.directory
      .entriesWithSpiffeId(spiffeId)
      .filter((entry) => isLive(entry, now));
    if (isAdminAllowed && entries.some((entry) => entry.isAdmin)) return { kind: 'admin', spiffeId };
    const entitled = rolesFor(method, allowed, this.#options.roles.ofSpiffeId(spiffeId));
    if (entitled !== undefined) return { kind: 'scoped_admin', spiffeId, uid: undefined, roles: entitled };
    const downstream = entries.filter((entry) => entry.isDownstream);
    if (allowed.includes('downstream') && downstream.length > 0) {
      return { kind: 'downstream', spiffeId, entries: downstream };
    }
    return undefined;
  }

  async #agent(method: string, allowed: readonly CallerKind[], svid: PeerSvid): Promise<Caller> {
    const { spiffeId: agentId, serialNumber, notAfter: expiresAt } = svid;
    const node = this.#options.directory.node(agentId);
    if (node === undefined) throw denied(method, 'agent_not_attested');
    if (node.isBanned) throw denied(method, 'agent_banned');
    const isQuarantined = node.quarantine !== undefined;
    if (isQuarantined && !allowed.includes('quarantined_agent')) throw denied(method, 'agent_quarantined');
    if (serialNumber !== node.serialNumber) {
      if (serialNumber !== node.nextSerialNumber) throw denied(method, 'agent_not_active');
      await this.#options.activateRenewedSvid(agentId, serialNumber);
    }
    return { kind: isQuarantined ? 'quarantined_agent' : 'agent', agentId, serialNumber, expiresAt };
  }
}

/** @returns all of the roles when one of them has what the method takes; undefined otherwise. */
function rolesFor(
  method: string,
  allowed: readonly CallerKind[],
  roles: readonly AccessRole[],
): readonly AccessRole[] | undefined {
  const scope = rpcScope(method);
  if (!allowed.includes('scoped_admin') || scope === undefined || roles.length === 0) return undefined;
  const { verbs } = scope;
  const isEntitled = verbs === undefined || roles.some((role) => verbs.some((verb) => role.verbs.has(verb)));
  return isEntitled ? roles : undefined;
}

/** The text is SPIRE's, which its clients know; why an agent is refused travels as the reason. */
function denied(method: string, reason: Reason = 'permission_denied'): BonafideError {
  return new BonafideError(reason, `authorization denied for method ${method}`);
}
