/** JWT-SVIDs for whoever is entitled to them when they are there, not only when they were asked for. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import type { JwtSvids } from '../token-svids/jwt-svids.js';

export interface GrantedJwtSvid {
  readonly entry: RegistrationEntry;
  readonly svid: JwtSvid;
}

const MOST_AUDIENCES = 100;
const LONGEST_AUDIENCE_BYTES = 1024;
/** Of all of them: a token with more would be too long for those who are to read it. */
const MOST_AUDIENCE_BYTES = 16 * 1024;

/**
 * @param granted the entries that are asked for, at this moment: what was taken from the caller while the server was asked is not handed
 * out any more.
 */
export async function grantedJwtSvids(
  jwtSvids: Pick<JwtSvids, 'fetch'>,
  audience: readonly string[],
  granted: () => readonly RegistrationEntry[],
): Promise<readonly GrantedJwtSvid[]> {
  const fetched = await Promise.all(
    granted().map(async (entry) => ({ entry, svid: await jwtSvids.fetch(entry, audience) })),
  );
  const stillGranted = new Set(granted().map(identityKey));
  return fetched.filter(({ entry }) => stillGranted.has(identityKey(entry)));
}

/** @throws BonafideError `invalid_argument` for audiences that no token is made for. */
export function checkAudiences(audience: readonly string[]): void {
  if (audience.length === 0) throw invalidArgument('audience must be specified');
  if (audience.length > MOST_AUDIENCES) {
    throw invalidArgument(
      `${audience.length} audiences are too many; at most ${MOST_AUDIENCES} are accepted`,
    );
  }
  for (const name of audience) {
    if (name === '' || Buffer.byteLength(name) > LONGEST_AUDIENCE_BYTES) {
      throw invalidArgument(`an audience is text of 1 to ${LONGEST_AUDIENCE_BYTES} bytes`);
    }
  }
  const bytes = audience.reduce((sum, name) => sum + Buffer.byteLength(name), 0);
  if (bytes > MOST_AUDIENCE_BYTES) {
    throw invalidArgument(
      `the audiences have ${bytes} bytes; at most ${MOST_AUDIENCE_BYTES} in all are accepted`,
    );
  }
}

function identityKey({ id, spiffeId }: RegistrationEntry): string {
  return `${id} ${spiffeId}`;
}
