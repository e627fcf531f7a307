/** Makes the authorities that sign JWT-SVIDs and WIT-SVIDs: a key, its name, and both in the bundle. */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import type { TokenAuthorityRecord } from '../store/authority-record.js';
import type { Store } from '../store/store.js';
import { revokeTokenAuthority, taintTokenAuthority } from '../trust-bundle/withdraw-authority.js';
import type { AuthorityMaker } from './authority-maker.js';
import type { UpstreamAuthority } from './upstream/upstream-authority.js';

export interface TokenAuthorityMakerOptions {
  readonly kind: TokenAuthorityRecord['kind'];
  readonly keyType: KeyType;
  readonly store: Pick<Store, 'authorities'>;
  readonly upstream: UpstreamAuthority | undefined;
}

const LISTS = { jwt: 'jwtAuthorities', wit: 'witAuthorities' } as const;

export function createTokenAuthorityMaker({
  kind,
  keyType,
  store,
  upstream,
}: TokenAuthorityMakerOptions): AuthorityMaker<TokenAuthorityRecord> {
  const list = LISTS[kind];

  /** @returns what others published there, without what was revoked here. */
  async function publishUpstream(
    authority: TokenAuthority,
    signal: AbortSignal,
  ): Promise<readonly TokenAuthority[]> {
    if (upstream === undefined) return [];
    const published =
      kind === 'jwt'
        ? await upstream.publishJwtAuthority?.(authority, signal)
        : await upstream.publishWitAuthority?.(authority, signal);
    const revoked = new Set(await store.authorities.listRevoked());
    return (published ?? []).filter((other) => !revoked.has(other.keyId));
  }

  return {
    kind,
    words: `${kind.toUpperCase()} authority`,
    keyIdPrefix: `${kind}-signer-`,
    keyType,
    owns: (record): record is TokenAuthorityRecord => record.kind === kind,
    make: async ({ name, serverId, keyId, signer, notBefore, notAfter }, signal) => {
      const publicKey = exportSpki(signer.publicKey);
      const authority = { publicKey, keyId: name, expiresAt: notAfter, isTainted: false };
      const others = await publishUpstream(authority, signal);
      return {
        record: {
          kind,
          authorityId: name,
          serverId,
          slot: 'prepared',
          keyId,
          publicKey,
          notBefore,
          notAfter,
          isTainted: false,
        },
        additions: { [list]: [authority, ...others] },
      };
    },
    additionsOf: ({ publicKey, authorityId: keyId, notAfter: expiresAt, isTainted }) => ({
      [list]: [{ publicKey, keyId, expiresAt, isTainted }],
    }),
    isWithdrawn: (bundle, { authorityId }) =>
      bundle[list].some(({ keyId, isTainted }) => isTainted && keyId === authorityId),
    taint: (bundle, keyId) => taintTokenAuthority(bundle, list, keyId),
    revoke: (bundle, keyId) => revokeTokenAuthority(bundle, list, keyId),
  };
}
