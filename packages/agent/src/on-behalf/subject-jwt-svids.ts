/** JWT-SVIDs in the name of somebody else, who is still there when they are handed out. */
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { WorkloadIdentities } from '../svid-cache/workload-identities.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import { grantedJwtSvids } from '../workload-api/granted-jwt-svids.js';
import { requestedEntries } from '../workload-api/token-requests.js';
import { isGrantable } from './grantable.js';
import type { Authorization } from './authorized-streams.js';
import type { Subject } from './subject.js';

interface SubjectJwtSvidsOptions {
  readonly identities: Pick<WorkloadIdentities, 'matching'>;
  readonly jwtSvids: Pick<JwtSvids, 'fetch'>;
}

interface JwtSvidsRequest {
  readonly audience: readonly string[];
  /** Of the one identity that is asked for; empty for all. */
  readonly spiffeId: string;
  readonly subject: Subject;
  readonly authorization: Authorization;
  /** To be thrown when the subject is entitled to none. */
  readonly notEntitled: () => BonafideError;
}

/** @throws BonafideError also when the subject or the right of the caller ended meanwhile. */
export async function subjectJwtSvids(
  { audience, authorization, notEntitled, spiffeId, subject }: JwtSvidsRequest,
  { identities, jwtSvids }: SubjectJwtSvidsOptions,
): ReturnType<typeof grantedJwtSvids> {
  let ended: BonafideError | undefined;
  subject.onEnd((why) => {
    ended = why;
  });
  const entries = (): readonly RegistrationEntry[] =>
    requestedEntries(identities.matching(subject.selectors).entries.filter(isGrantable), spiffeId);
  const granted = await grantedJwtSvids(jwtSvids, audience, entries);
  authorization.check();
  if (ended !== undefined) throw ended;
  if (granted.length === 0) throw notEntitled();
  return granted;
}
