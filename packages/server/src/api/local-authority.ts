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
    PrepareX509Authority: prepare(x509),
    ActivateX509Authority: activate(x509),
    TaintX509Authority: taint(x509),
    RevokeX509Authority: revoke(x509),
    GetJWTAuthorityState: stateOf(jwt),
    PrepareJWTAuthority: prepare(jwt),
    ActivateJWTAuthority: activate(jwt),
    TaintJWTAuthority: taint(jwt),
    RevokeJWTAuthority: revoke(jwt),
    GetWITAuthorityState: stateOf(wit),
    PrepareWITAuthority: prepare(wit),
    ActivateWITAuthority: activate(wit),
    TaintWITAuthority: taint(wit),
    RevokeWITAuthority: revoke(wit),

    TaintX509UpstreamAuthority: unaryHandler(callContext, async (request, call) => {
      const { subjectKeyId, revision } = await upstream.taint(request.subjectKeyId);
      sendRevisions(call, [revision]);
      return { upstreamAuthoritySubjectKeyId: subjectKeyId };
    }),

    RevokeX509UpstreamAuthority: unaryHandler(callContext, async (request, call) => {
      const { subjectKeyId, revision } = await upstream.revoke(request.subjectKeyId);
      sendRevisions(call, [revision]);
      return { upstreamAuthoritySubjectKeyId: subjectKeyId };
    }),
  };
}

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
): handleUnaryCall<Request, { preparedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async (_request, call) => {
    const { record, revision } = await authorities.prepare();
    sendRevisions(call, [revision]);
    return { preparedAuthority: stateToProto(record) };
  });
}

function activate<Authority extends AuthorityRecord, Request extends NamesAuthority>(
  authorities: AuthorityByHand<Authority>,
): handleUnaryCall<Request, { activatedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async ({ authorityId }, call) => {
    const { record, revision } = await authorities.activate(authorityId);
    sendRevisions(call, [revision]);
    return { activatedAuthority: stateToProto(record) };
  });
}

function taint<Authority extends AuthorityRecord, Request extends NamesAuthority>(
  authorities: AuthorityByHand<Authority>,
): handleUnaryCall<Request, { taintedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async ({ authorityId }, call) => {
    const { record, revision } = await authorities.taint(authorityId);
    sendRevisions(call, [revision]);
    return { taintedAuthority: stateToProto(record) };
  });
}

function revoke<Authority extends AuthorityRecord, Request extends NamesAuthority>(
  authorities: AuthorityByHand<Authority>,
): handleUnaryCall<Request, { revokedAuthority: AuthorityState }> {
  return unaryHandler(callContext, async ({ authorityId }, call) => {
    sendRevisions(call, [await authorities.revoke(authorityId)]);
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
