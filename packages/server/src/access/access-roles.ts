/** The roles that are in force, and who has which; a reload of the configuration replaces them all at once. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AccessRole } from './access-role.js';

export interface LocalUser {
  readonly uid: number;
  /** Its groups as the kernel knew them when it connected. */
  readonly gids: readonly number[];
}

export class AccessRoles {
  #roles: readonly AccessRole[];
  #bySpiffeId: ReadonlyMap<SpiffeId, readonly AccessRole[]>;

  constructor(roles: readonly AccessRole[]) {
    this.#roles = roles;
    this.#bySpiffeId = bySpiffeId(roles);
  }

  get all(): readonly AccessRole[] {
    return this.#roles;
  }

  /** From the next call on. */
  replace(roles: readonly AccessRole[]): void {
    this.#roles = roles;
    this.#bySpiffeId = bySpiffeId(roles);
  }

  ofSpiffeId(spiffeId: SpiffeId): readonly AccessRole[] {
    return this.#bySpiffeId.get(spiffeId) ?? [];
  }

  ofLocalUser({ uid, gids }: LocalUser): readonly AccessRole[] {
    return this.#roles.filter(
      ({ members }) => members.uids.has(uid) || gids.some((gid) => members.gids.has(gid)),
    );
  }
}

function bySpiffeId(roles: readonly AccessRole[]): ReadonlyMap<SpiffeId, readonly AccessRole[]> {
  const found = new Map<SpiffeId, AccessRole[]>();
  for (const role of roles) {
    for (const spiffeId of role.members.spiffeIds) {
      const ofId = found.get(spiffeId);
      if (ofId === undefined) found.set(spiffeId, [role]);
      else ofId.push(role);
    }
  }
  return found;
}
