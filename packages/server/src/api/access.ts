/** bonafide.access.v1.Access: who may do what, and why; a scoped admin asks about itself alone. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { inField } from '@bonafide/shared/rpc/codec/field';
import type { EntryQuestion__Output } from '@bonafide/shared/rpc/gen/bonafide/access/v1/EntryQuestion';
import type { ExplainAccessRequest__Output } from '@bonafide/shared/rpc/gen/bonafide/access/v1/ExplainAccessRequest';
import type { Role } from '@bonafide/shared/rpc/gen/bonafide/access/v1/Role';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { parseSpiffeId, serverId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { VERBS, type AccessRole } from '../access/access-role.js';
import type { AccessRoles } from '../access/access-roles.js';
import { callContext, type AuthorizedCallContext } from '../access/call-context.js';
import { subjectOf, type AccessExplanations, type AccessQuestion } from '../access/explain-access.js';
import type { JudgedEntry } from '../access/judge-entry.js';
import type { Subject } from '../access/standings.js';

export interface AccessApiOptions {
  readonly trustDomain: TrustDomain;
  readonly roles: AccessRoles;
  readonly explanations: AccessExplanations;
}

export function createAccessHandlers({
  trustDomain,
  roles,
  explanations,
}: AccessApiOptions): Handlers<'bonafide.access.v1.Access'> {
  return {
    ListRoles: unaryHandler(callContext, (_request, _call, { scope }) =>
      Promise.resolve({
        roles: (scope?.roles ?? roles.all).map((role) => roleToProto(role, scope === undefined)),
      }),
    ),

    ExplainAccess: unaryHandler(callContext, async (request, _call, context) => {
      const subject = askedAbout(request, context);
      const question = questionFromProto(request, trustDomain);
      const {
        standings,
        roles: names,
        verdict,
      } = await explanations.explain(subject, question, context.scope);
      return {
        standings: standings.map(({ kind, because }) => ({ kind, because })),
        roles: [...names],
        verdict:
          verdict === undefined ? null : { isAllowed: verdict.isAllowed, because: [...verdict.because] },
      };
    }),
  };
}

function roleToProto(role: AccessRole, showsMembers: boolean): Role {
  const { maySet, members } = role;
  return {
    name: role.name,
    spiffeIdPrefix: role.spiffeIdPrefix,
    verbs: [...role.verbs],
    selectors: role.selectors.map(({ text }) => text),
    parentIds: role.parents.map(({ text }) => text),
    federatesWith: [...maySet.federatesWith],
    dnsNames: maySet.dnsNames.map(({ text }) => text),
    storeSvid: maySet.storesSvid,
    ttl: maySet.mostTtlSeconds ?? 0,
    members: showsMembers
      ? [
          ...members.spiffeIds,
          ...Array.from(members.uids, (uid) => `uid:${uid}`),
          ...Array.from(members.gids, (gid) => `gid:${gid}`),
        ]
      : [],
  };
}

/** @throws BonafideError `permission_denied` when a scoped admin asks about somebody else, whoever that may be. */
function askedAbout(
  { spiffeId, localUser }: ExplainAccessRequest__Output,
  { caller, peer, scope }: AuthorizedCallContext,
): Subject {
  const own = subjectOf(caller, peer.kind === 'local' ? (peer.gids ?? []) : []);
  const isAboutOthers =
    (spiffeId !== undefined && (own.kind !== 'svid' || own.spiffeId !== spiffeId)) ||
    (localUser !== undefined && localUser !== null && (own.kind !== 'local' || own.uid !== localUser.uid));
  if (scope !== undefined) {
    if (isAboutOthers)
      throw new BonafideError('permission_denied', 'members of a role can ask about themselves only');
    return own;
  }
  if (spiffeId !== undefined) {
    return { kind: 'svid', spiffeId: inField('spiffe_id', () => parseSpiffeId(spiffeId)) };
  }
  return localUser === undefined || localUser === null ? own : { kind: 'local', ...localUser };
}

function questionFromProto(
  { rpc, entry }: ExplainAccessRequest__Output,
  trustDomain: TrustDomain,
): AccessQuestion | undefined {
  if (rpc !== undefined) return { kind: 'rpc', path: rpc };
  if (entry === undefined || entry === null) return undefined;
  const verb = VERBS.find((each) => each === entry.verb);
  if (verb === undefined) {
    throw invalidArgument(
      `entry.verb: is ${JSON.stringify(entry.verb)}; expected one of ${VERBS.join(', ')}`,
    );
  }
  if (entry.entryId !== '') return { kind: 'entry', verb, entry: { id: entry.entryId } };
  return { kind: 'entry', verb, entry: supposedEntry(entry, trustDomain) };
}

function supposedEntry(entry: EntryQuestion__Output, trustDomain: TrustDomain): JudgedEntry {
  const idIn = (field: string, text: string): SpiffeId => inField(field, () => parseSpiffeId(text));
  return {
    spiffeId: idIn('entry.spiffe_id', entry.spiffeId),
    parentId: entry.parentId === '' ? serverId(trustDomain) : idIn('entry.parent_id', entry.parentId),
    selectors: entry.selectors.map((text) => inField('entry.selectors', () => parseSelector(text))),
    dnsNames: entry.dnsNames,
    federatesWith: entry.federatesWith.map((name) =>
      inField('entry.federates_with', () => parseTrustDomain(name)),
    ),
    isAdmin: entry.admin,
    isDownstream: entry.downstream,
    storesSvid: entry.storeSvid,
    x509SvidTtlSeconds: entry.x509SvidTtl || undefined,
    jwtSvidTtlSeconds: entry.jwtSvidTtl || undefined,
  };
}
