/** A batch of WIT-SVIDs, each for a new key of its own, verified before anybody is given one. */
import type { KeyObject } from 'node:crypto';
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { jwsAlgorithmFor } from '@bonafide/shared/crypto/jws-algorithm';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import { mapInWindow } from '../svid-renewal/map-in-window.js';
import type { Obtained } from '../svid-renewal/svid-kind.js';
import { verifyOnceKeyIsKnown } from './token-authorities.js';
import type { WitSigningResult, WitSvidSigner } from './wit-svid-signer.js';

type Bundles = Pick<SvidCache, 'bundle'>;

interface ObtainOptions {
  /** Says which keys are trusted. */
  readonly cache: Bundles;
  readonly signer: WitSvidSigner;
  readonly keyType: KeyType;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

interface PreparedKey {
  readonly entry: RegistrationEntry;
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
}

/**
 * One result for each entry, in their order.
 * @throws BonafideError when the batch as a whole failed.
 */
export async function obtainWitSvids(
  entries: readonly RegistrationEntry[],
  options: ObtainOptions,
): Promise<readonly Obtained<WitSvid>[]> {
  const { keyType, signal, signer } = options;
  const algorithm = jwsAlgorithmFor(keyType);
  const prepared = await mapInWindow(entries, async (entry): Promise<PreparedKey> => {
    const privateKey = await generatePrivateKey(keyType);
    return { entry, privateKey, publicKey: exportSpki(privateKey) };
  });
  const results = await signer.sign(
    prepared.map(({ entry, publicKey }) => ({ entryId: entry.id, publicKey, algorithm })),
    signal,
  );
  return mapInWindow(prepared, async (request, index): Promise<Obtained<WitSvid>> => {
    try {
      return { kind: 'svid', svid: await readResult(request, results[index], options) };
    } catch (error) {
      return { kind: 'failed', error };
    }
  });
}

/** Keys whose WIT-SVIDs are good for that ID's trust domain. */
export function witAuthorities(bundles: Bundles, spiffeId: SpiffeId): readonly TokenAuthority[] {
  return bundles.bundle(trustDomainOf(spiffeId))?.witAuthorities ?? [];
}

/** @throws BonafideError when the answer is a refusal, or not what was asked for. */
async function readResult(
  { entry, privateKey, publicKey }: PreparedKey,
  result: WitSigningResult | undefined,
  { cache, clock, signal }: ObtainOptions,
): Promise<WitSvid> {
  if (result === undefined) throw new BonafideError('internal', 'the server sent no result for it');
  if (result.kind === 'refused') throw result.error;
  const { token } = result;
  const verified = await verifyOnceKeyIsKnown(
    () => verifyWitSvid({ token, bundle: (trustDomain) => cache.bundle(trustDomain), now: clock.now() }),
    { token, authorities: () => witAuthorities(cache, entry.spiffeId), clock, signal },
  );
  const { spiffeId, expiresAt, keyId, issuedAt = clock.now() } = verified;
  if (spiffeId !== entry.spiffeId) {
    throw new BonafideError('internal', `the server issued ${spiffeId} for an entry of ${entry.spiffeId}`);
  }
  if (!exportSpki(verified.confirmationKey).equals(publicKey)) {
    throw new BonafideError('internal', 'the server issued a WIT-SVID for another key');
  }
  if (expiresAt <= clock.now()) {
    const message = `the WIT-SVID has expired already, at ${expiresAt.toISOString()}; compare the clocks of this node and the server`;
    throw new BonafideError('internal', message);
  }
  return { spiffeId, token, privateKey, issuedAt, expiresAt, keyId, hint: entry.hint };
}
