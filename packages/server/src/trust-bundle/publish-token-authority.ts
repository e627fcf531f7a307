/** Publishes the JWT and WIT authorities of downstream servers: in our bundle, and before that in that of whoever stands above us. */
import type { TokenAuthority, TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { UpstreamAuthority } from '../authority/upstream/upstream-authority.js';
import type { Store } from '../store/store.js';
import { checkAuthorities } from '@bonafide/shared/bundle/check-authorities';
import { appendToBundle, emptyBundle } from './merge-bundle.js';
import { editOwnBundle } from './own-bundle.js';

export type TokenAuthorityKind = 'jwt' | 'wit';

/** Of one kind. Every workload of the trust domain is sent all of them. */
export const MAX_TOKEN_AUTHORITIES = 256;

export interface TokenAuthorityPublicationOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly clock: Clock;
  readonly upstream?: Pick<UpstreamAuthority, 'publishJwtAuthority' | 'publishWitAuthority'> | undefined;
}

export class TokenAuthorityPublication {
  readonly #options: TokenAuthorityPublicationOptions;

  constructor(options: TokenAuthorityPublicationOptions) {
    this.#options = options;
  }

  /**
   * Publishing what is published already changes nothing.
   * @returns all of the kind.
   * @throws BonafideError `invalid_argument` for a key that is none, has expired or never would; `failed_precondition` for one that was
   * revoked; `already_exists` when another key has its ID; `resource_exhausted` when there are too many; as the upstream authority says.
   */
  async publish(
    kind: TokenAuthorityKind,
    authority: TokenAuthority,
    signal: AbortSignal,
  ): Promise<readonly TokenAuthority[]> {
    const { trustDomain, store, clock } = this.#options;
    checkAuthorities(additionsOf(kind, [authority]));
    const name = JSON.stringify(authority.keyId);
    // Nobody else could remove it: it would be believed for ever.
    if (authority.expiresAt === undefined) throw invalidArgument(`the key ${name} has no expires_at`);
    if (authority.expiresAt <= clock.now()) throw invalidArgument(`the key ${name} has expired`);
    if ((await store.authorities.listRevoked()).includes(authority.keyId)) {
      throw new BonafideError('failed_precondition', `the key ${name} was revoked; publish another one`);
    }
    const present = (await store.bundles.get(trustDomain)) ?? emptyBundle(trustDomain);
    checkRoom(present, kind, authority);
    // Above first: what nobody up there knows would verify only below us.
    const published = [...((await this.#publishAbove(kind, authority, signal)) ?? []), authority];
    const unrevoked = additionsOf(kind, await withoutRevoked(published, store));
    if (appendToBundle(present, unrevoked) === present) return authoritiesOf(present, kind);
    const bundle = await store.write(async (transaction) => {
      const additions = additionsOf(kind, await withoutRevoked(published, transaction));
      return editOwnBundle(transaction, trustDomain, (own) => {
        checkRoom(own, kind, authority);
        return appendToBundle(own, additions);
      });
    });
    return authoritiesOf(bundle, kind);
  }

  #publishAbove(
    kind: TokenAuthorityKind,
    authority: TokenAuthority,
    signal: AbortSignal,
  ): Promise<readonly TokenAuthority[]> | undefined {
    const { upstream } = this.#options;
    return kind === 'jwt'
      ? upstream?.publishJwtAuthority?.(authority, signal)
      : upstream?.publishWitAuthority?.(authority, signal);
  }
}

/** A key ID names one key of the trust domain, whatever it signs (WIT-SVID section 6.1). */
function checkRoom(bundle: TrustBundle, kind: TokenAuthorityKind, authority: TokenAuthority): void {
  const same = authoritiesOf(bundle, kind).find(({ keyId }) => keyId === authority.keyId);
  const other = authoritiesOf(bundle, kind === 'jwt' ? 'wit' : 'jwt').find(
    ({ keyId }) => keyId === authority.keyId,
  );
  if (other !== undefined || same?.publicKey.equals(authority.publicKey) === false) {
    const message = `the key ID ${JSON.stringify(authority.keyId)} is that of another key; expected one that is unique in the trust domain`;
    throw new BonafideError('already_exists', message);
  }
  if (same === undefined && authoritiesOf(bundle, kind).length >= MAX_TOKEN_AUTHORITIES) {
    const message = `the trust bundle would have more than ${MAX_TOKEN_AUTHORITIES} ${kind.toUpperCase()} authorities`;
    throw new BonafideError('resource_exhausted', message);
  }
}

/** Whatever is published above: what an operator revoked here does not come back. */
async function withoutRevoked(
  published: readonly TokenAuthority[],
  { authorities }: Pick<Store, 'authorities'>,
): Promise<readonly TokenAuthority[]> {
  const revoked = new Set(await authorities.listRevoked());
  return published.filter(({ keyId }) => !revoked.has(keyId));
}

function authoritiesOf(bundle: TrustBundle, kind: TokenAuthorityKind): readonly TokenAuthority[] {
  return kind === 'jwt' ? bundle.jwtAuthorities : bundle.witAuthorities;
}

function additionsOf(
  kind: TokenAuthorityKind,
  authorities: readonly TokenAuthority[],
): {
  readonly jwtAuthorities?: readonly TokenAuthority[];
  readonly witAuthorities?: readonly TokenAuthority[];
} {
  return kind === 'jwt' ? { jwtAuthorities: authorities } : { witAuthorities: authorities };
}
