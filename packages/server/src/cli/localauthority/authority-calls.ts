/** The calls by which each kind of signing authority is managed, so that one command serves all kinds. */
import type { AuthorityState__Output } from '@bonafide/shared/rpc/gen/spire/api/server/localauthority/v1/AuthorityState';
import type { ServerConnection } from '../server-connection.js';

export const LOCAL_AUTHORITY = 'spire.api.server.localauthority.v1.LocalAuthority';

export type AuthorityKind = 'x509' | 'jwt' | 'wit';
export type AuthorityChange = 'prepare' | 'activate' | 'taint' | 'revoke';

interface AuthorityStates {
  readonly active: AuthorityState__Output | null;
  readonly prepared: AuthorityState__Output | null;
  readonly old: AuthorityState__Output | null;
}

/** One answer, and the authority that it is about. */
export interface ChangedAuthority {
  readonly message: object;
  readonly authority: AuthorityState__Output | null;
}

type Change = (server: ServerConnection, authorityId: string) => Promise<ChangedAuthority>;

export interface AuthorityCalls extends Readonly<Record<AuthorityChange, Change>> {
  /** As in the names of messages. */
  readonly messageName: string;
  /** As in sentences. */
  readonly words: string;
  readonly show: (server: ServerConnection) => Promise<AuthorityStates>;
}

export const AUTHORITY_CALLS = {
  x509: {
    messageName: 'X509Authority',
    words: 'X.509 authority',
    show: (server) => server.call(LOCAL_AUTHORITY, 'getX509AuthorityState', {}),
    prepare: async (server) => prepared(await server.call(LOCAL_AUTHORITY, 'prepareX509Authority', {})),
    activate: async (server, authorityId) =>
      activated(await server.call(LOCAL_AUTHORITY, 'activateX509Authority', { authorityId })),
    taint: async (server, authorityId) =>
      tainted(await server.call(LOCAL_AUTHORITY, 'taintX509Authority', { authorityId })),
    revoke: async (server, authorityId) =>
      revoked(await server.call(LOCAL_AUTHORITY, 'revokeX509Authority', { authorityId })),
  },
  jwt: {
    messageName: 'JWTAuthority',
    words: 'JWT authority',
    show: (server) => server.call(LOCAL_AUTHORITY, 'getJwtAuthorityState', {}),
    prepare: async (server) => prepared(await server.call(LOCAL_AUTHORITY, 'prepareJwtAuthority', {})),
    activate: async (server, authorityId) =>
      activated(await server.call(LOCAL_AUTHORITY, 'activateJwtAuthority', { authorityId })),
    taint: async (server, authorityId) =>
      tainted(await server.call(LOCAL_AUTHORITY, 'taintJwtAuthority', { authorityId })),
    revoke: async (server, authorityId) =>
      revoked(await server.call(LOCAL_AUTHORITY, 'revokeJwtAuthority', { authorityId })),
  },
  wit: {
    messageName: 'WITAuthority',
    words: 'WIT authority',
    show: (server) => server.call(LOCAL_AUTHORITY, 'getWitAuthorityState', {}),
    prepare: async (server) => prepared(await server.call(LOCAL_AUTHORITY, 'prepareWitAuthority', {})),
    activate: async (server, authorityId) =>
      activated(await server.call(LOCAL_AUTHORITY, 'activateWitAuthority', { authorityId })),
    taint: async (server, authorityId) =>
      tainted(await server.call(LOCAL_AUTHORITY, 'taintWitAuthority', { authorityId })),
    revoke: async (server, authorityId) =>
      revoked(await server.call(LOCAL_AUTHORITY, 'revokeWitAuthority', { authorityId })),
  },
} as const satisfies Record<AuthorityKind, AuthorityCalls>;

type Answered = AuthorityState__Output | null;

function prepared(message: { readonly preparedAuthority: Answered }): ChangedAuthority {
  return { message, authority: message.preparedAuthority };
}

function activated(message: { readonly activatedAuthority: Answered }): ChangedAuthority {
  return { message, authority: message.activatedAuthority };
}

function tainted(message: { readonly taintedAuthority: Answered }): ChangedAuthority {
  return { message, authority: message.taintedAuthority };
}

function revoked(message: { readonly revokedAuthority: Answered }): ChangedAuthority {
  return { message, authority: message.revokedAuthority };
}
