/** Who has which rights: the admins and roles of the configuration, and whom the local sockets serve. */
import type { Socket } from 'node:net';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { rolesFromConfig } from '../access/access-config.js';
import { AccessRoles } from '../access/access-roles.js';
import { AccessExplanations } from '../access/explain-access.js';
import type { DefaultTtls } from '../access/judge-entry.js';
import type { Peer } from '../access/peer.js';
import { AdminListener, prepareSocketFolder } from '../endpoints/admin-listener.js';
import { checkGuestFolder, groupId } from '../endpoints/guest-socket.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';

export interface Access {
  readonly adminIds: ReadonlySet<SpiffeId>;
  readonly localAdminUids: ReadonlySet<number>;
  /** As the configuration has them now. */
  readonly roles: AccessRoles;
  readonly defaultTtls: DefaultTtls;
  readonly explanations: AccessExplanations;
}

export async function startAccess(startup: Startup, { store, graph }: Storage): Promise<Access> {
  const { config, clock } = startup;
  const { server } = config;
  const rights = {
    adminIds: new Set(server.admin_ids),
    localAdminUids: await prepareSocketFolder(server.socket_path),
    roles: liveRoles(startup),
    defaultTtls: { x509Seconds: server.default_x509_svid_ttl, jwtSeconds: server.default_jwt_svid_ttl },
  };
  addLiveRights(startup, rights);
  const explanations = new AccessExplanations({ ...rights, directory: graph, entries: store.entries, clock });
  return { ...rights, explanations };
}

/** They are looked up at every call, in the same set and object. */
function addLiveRights(
  { live }: Startup,
  { adminIds, defaultTtls }: { readonly adminIds: Set<SpiffeId>; readonly defaultTtls: DefaultTtls },
): void {
  live?.add({
    name: 'admin_ids and default TTLs',
    keys: ['server.admin_ids', 'server.default_x509_svid_ttl', 'server.default_jwt_svid_ttl'],
    prepare:
      ({ server }) =>
      () => {
        adminIds.clear();
        for (const id of server.admin_ids) adminIds.add(id);
        Object.assign(defaultTtls, {
          x509Seconds: server.default_x509_svid_ttl,
          jwtSeconds: server.default_jwt_svid_ttl,
        });
      },
  });
}

function liveRoles({ config, live }: Startup): AccessRoles {
  const roles = new AccessRoles(rolesFromConfig(config.access));
  live?.add({
    name: 'roles',
    keys: ['access.roles'],
    prepare: (next) => {
      const prepared = rolesFromConfig(next.access);
      return () => {
        roles.replace(prepared);
      };
    },
  });
  return roles;
}

const GUEST_CONNECTIONS = 1000;

/** The second socket, when there is one; nobody is served before it listens. @throws BonafideError when it could be taken from us. */
export async function createTeamSocket(
  { config, log }: Startup,
  onConnection: (socket: Socket, peer: Peer) => void,
): Promise<AdminListener | undefined> {
  const { socket } = config.access;
  if (socket === undefined) return undefined;
  const { path: socketPath, mode, group } = socket;
  await checkGuestFolder(socketPath);
  const gid = typeof group === 'string' ? await groupId(group) : group;
  const guests = { mode: parseInt(mode, 8), gid };
  return new AdminListener({ socketPath, maximumConnections: GUEST_CONNECTIONS, onConnection, log, guests });
}
