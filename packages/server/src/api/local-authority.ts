/** spire.api.server.localauthority.v1.LocalAuthority: signing authorities by hand. */
import type { handleUnaryCall } from '@grpc/grpc-js';
import type { AuthorityState } from '@bonafide/shared/rpc/gen/spire/api/server/localauthority/v1/AuthorityState';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { sendRevisions } from '@bonafide/shared/rpc/revision-header';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { callContext } from '../access/call-context.js';
import type { AuthorityByHand } from '../authority/authority-by-hand.js';
import type { UpstreamByHand } from '../authority/upstream-by-hand.js';
import type {
  AuthorityRecord,
  TokenAuthorityRecord,
  X509AuthorityRecord,
} from '../store/authority-record.js';

export interface LocalAuthorityApiOptions {
  readonly x509: AuthorityByHand<X509AuthorityRecord>;
  readonly jwt: AuthorityByHand<TokenAuthorityRecord>;
  readonly wit: AuthorityByHand<TokenAuthorityRecord>;
  readonly upstream: UpstreamByHand;
}

export function createLocalAuthorityHandlers({
  x509,
  jwt,
  wit,
  upstream,
}: LocalAuthorityApiOptions): Handlers<'spire.api.server.localauthority.v1.LocalAuthority'> {
  return {
    GetX509AuthorityState: stateOf(x509),
    PrepareX509Authority: prepare(x509, 'x509'),
    ActivateX509Authority: activate(x509, 'x509'),
    TaintX509Authority: taint(x509, 'x509'),
    RevokeX509Authority: revoke(x509, 'x509'),
    GetJWTAuthorityState: stateOf(jwt),
    PrepareJWTAuthority: prepare(jwt, 'jwt'),
    ActivateJWTAuthority: activate(jwt, 'jwt'),
    TaintJWTAuthority: taint(jwt, 'jwt'),
    RevokeJWTAuthority: revoke(jwt, 'jwt'),
    GetWITAuthorityState: stateOf(wit),
    PrepareWITAuthority: prepare(wit, 'wit'),
    ActivateWITAuthority: activate(wit, 'wit'),
    TaintWITAuthority: taint(wit, 'wit'),
    RevokeWITAuthority: revoke(wit, 'wit'),

    TaintX509UpstreamAuthority: unaryHandler(callContext, async (request, call, { audit }) => {
      const { subjectKeyId, revision } = await upstream.taint(request.subjectKeyId);
      sendRevisions(call, [revision]);
      audit.note({ subject: { authorityId: subjectKeyId }, revision, details: { kind: 'x509' } });
      return { upstreamAuthoritySubjectKeyId: subjectKeyId };
    }),

    RevokeX509UpstreamAuthority: unaryHandler(callContext, async (request, call, { audit }) => {
      const { subjectKeyId, revision } = await upstream.revoke(request.subjectKeyId);
      sendRevisions(call, [revision]);
      audit.note({ subject: { authorityId: subjectKeyId }, revision, details: { kind: 'x509' } });
      return { upstreamAuthoritySubjectKeyId: subjectKeyId };
    }),
  };
}

type AuthorityKind = 'x509' | 'jwt' | 'wit';

interface NamesAuthority {
  readonly authorityId: string;
}

interface StateResponse {
  active: AuthorityState;
  prepared: AuthorityState | null;
  old: AuthorityState | null;
}

function stateOf<Authority extends AuthorityRecord, Request>(
  authorities: AuthorityByHand<Authority>,
): handleUnaryCall<Request, StateResponse> {
  return unaryHandler(callContext, () => {
    const { active, prepared, old } = authorities.state();
    return Promise.resolve({
      active: stateToProto(active),
      prepared: prepared === undefined ? null : stateToProto(prepared),
      old: old === undefined ? null : stateToProto(old),
    });
  });
}

function prepare<Authority extends AuthorityRecord, Request>(
  authorities: AuthorityByHand<Authority>,
  kind: AuthorityKind,
): handleUnaryCall<Request, { preparedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async (_request, call, { audit }) => {
    const { record, revision } = await authorities.prepare();
    sendRevisions(call, [revision]);
    audit.note({ subject: { authorityId: record.authorityId }, revision, details: { kind } });
    return { preparedAuthority: stateToProto(record) };
  });
}

function activate<Authority extends AuthorityRecord, Request extends NamesAuthority>(
  authorities: AuthorityByHand<Authority>,
  kind: AuthorityKind,
): handleUnaryCall<Request, { activatedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async ({ authorityId }, call, { audit }) => {
    const { record, revision } = await authorities.activate(authorityId);
    sendRevisions(call, [revision]);
    audit.note({ subject: { authorityId: record.authorityId }, revision, details: { kind } });
    return { activatedAuthority: stateToProto(record) };
  });
}

function taint<Authority extends AuthorityRecord, Request extends NamesAuthority>(
  authorities: AuthorityByHand<Authority>,
  kind: AuthorityKind,
): handleUnaryCall<Request, { taintedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async ({ authorityId }, call, { audit }) => {
    const { record, revision } = await authorities.taint(authorityId);
    sendRevisions(call, [revision]);
    audit.note({ subject: { authorityId: record.authorityId }, revision, details: { kind } });
    return { taintedAuthority: stateToProto(record) };
  });
}

function revoke<Authority extends AuthorityRecord, Request extends NamesAuthority>(
  authorities: AuthorityByHand<Authority>,
  kind: AuthorityKind,
): handleUnaryCall<Request, { revokedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async ({ authorityId }, call, { audit }) => {
    const revision = await authorities.revoke(authorityId);
    sendRevisions(call, [revision]);
    audit.note({ subject: { authorityId }, revision, details: { kind } });
    return { revokedAuthority: { authorityId } };
  });
}

function stateToProto(record: AuthorityRecord): AuthorityState {
  return {
    authorityId: record.authorityId,
    expiresAt: unixSeconds(record.notAfter),
    upstreamAuthoritySubjectKeyId: record.kind === 'x509' ? (record.upstreamAuthorityId ?? '') : '',
  };
}
