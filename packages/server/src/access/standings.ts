/** What somebody is to the server, and why: the rules by which calls are identified, in words. */
import { isLive } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { isAgentId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AccessRole } from './access-role.js';
import type { AccessRoles, LocalUser } from './access-roles.js';
import type { CallerKind } from './caller.js';
import type { CallerDirectory } from './identify-caller.js';

/** Somebody who may call: an SVID that is valid, or a process at a local socket. */
export type Subject =
  { readonly kind: 'svid'; readonly spiffeId: SpiffeId } | ({ readonly kind: 'local' } & LocalUser);

export interface Standing {
  readonly kind: CallerKind;
  readonly because: string;
}

export interface StandingOptions {
  readonly directory: CallerDirectory;
  readonly adminIds: ReadonlySet<SpiffeId>;
  readonly localAdminUids: ReadonlySet<number>;
  readonly roles: AccessRoles;
  readonly clock: Clock;
}

/** The strongest first, which is the order in which calls are let in. */
export function standingsOf(subject: Subject, options: StandingOptions): readonly Standing[] {
  if (subject.kind === 'local') {
    if (options.localAdminUids.has(subject.uid)) {
      return [{ kind: 'local_admin', because: `uid ${subject.uid} is root or owns the admin socket` }];
    }
    return byRoles(options.roles.ofLocalUser(subject));
  }
  const { spiffeId } = subject;
  const { adminIds, clock, directory, roles } = options;
  const now = clock.now();
  const entries = directory.entriesWithSpiffeId(spiffeId).filter((entry) => isLive(entry, now));
  const admin = entries.find(({ isAdmin }) => isAdmin);
  const downstream = entries.find(({ isDownstream }) => isDownstream);
  const standings: Standing[] = [];
  if (adminIds.has(spiffeId)) {
    standings.push({ kind: 'admin', because: `${spiffeId} is one of server.admin_ids` });
  } else if (admin !== undefined) {
    standings.push({ kind: 'admin', because: `entry ${admin.id} is an admin entry of ${spiffeId}` });
  } else {
    standings.push(...byRoles(roles.ofSpiffeId(spiffeId)));
  }
  if (downstream !== undefined) {
    standings.push({
      kind: 'downstream',
      because: `entry ${downstream.id} is a downstream entry of ${spiffeId}`,
    });
  }
  return [...standings, ...agentStandings(spiffeId, directory)];
}

export function rolesOf(subject: Subject, roles: AccessRoles): readonly AccessRole[] {
  return subject.kind === 'local' ? roles.ofLocalUser(subject) : roles.ofSpiffeId(subject.spiffeId);
}

function byRoles(roles: readonly AccessRole[]): readonly Standing[] {
  if (roles.length === 0) return [];
  const names = roles.map(({ name }) => name).join(', ');
  return [{ kind: 'scoped_admin', because: `a member of access.roles: ${names}` }];
}

function agentStandings(spiffeId: SpiffeId, directory: CallerDirectory): readonly Standing[] {
  const node = isAgentId(spiffeId) ? directory.node(spiffeId) : undefined;
  if (node === undefined || node.isBanned) return [];
  return node.quarantine === undefined
    ? [{ kind: 'agent', because: `${spiffeId} is an attested agent` }]
    : [{ kind: 'quarantined_agent', because: `${spiffeId} is an agent in quarantine` }];
}
