/** Which keys of a bundle still vouch for the tokens they signed, and waiting for one that is on its way to us. */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { readKeyId } from '@bonafide/shared/jwt/token-claims';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';

/** The server pushes a new key at once; whoever asks it for a token in that moment may be faster. */
const PATIENCE_MS = 5_000;
const LOOK_AGAIN_MS = 100;

/** Whether the key is in the bundle and not said to be stolen. */
export function isTrustedKey(keyId: string, authorities: readonly TokenAuthority[] = []): boolean {
  return authorities.some((authority) => authority.keyId === keyId && !authority.isTainted);
}

interface KeyWait {
  readonly token: string;
  /** Of the trust domain, as known at the moment of the call. */
  readonly authorities: () => readonly TokenAuthority[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Verifies a token that the server sent, again and again for a few seconds while its key is not in the bundle yet.
 * @throws BonafideError `internal` with the reason for which it is not accepted.
 */
export async function verifyOnceKeyIsKnown<Verified>(
  verify: () => Promise<Verified>,
  { token, authorities, clock, signal }: KeyWait,
): Promise<Verified> {
  const deadlineMs = clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    try {
      return await verify();
    } catch (error) {
      const mayCome = hasReason(error, 'unauthenticated') && !isKnown(token, authorities());
      if (!mayCome || clock.monotonicMs() >= deadlineMs) {
        const message = `the token that the server sent is not accepted: ${errorMessage(error)}`;
        throw new BonafideError('internal', message, { cause: error });
      }
    }
    await sleep(clock, LOOK_AGAIN_MS, signal);
  }
}

function isKnown(token: string, authorities: readonly TokenAuthority[]): boolean {
  const keyId = readKeyId(parseCompactJws(token).header);
  return authorities.some((authority) => authority.keyId === keyId);
}
