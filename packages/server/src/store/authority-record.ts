/** Signing authorities as the store keeps them: which key signs, since when, until when. Keys themselves live in the key manager. */

export type AuthoritySlot = 'prepared' | 'active' | 'old';

interface AuthorityRecordContent {
  /** The server whose key manager has its key. */
  readonly serverId: string;
  readonly slot: AuthoritySlot;
  /** Under which the key manager finds the private key. */
  readonly keyId: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** It signs nothing more, and what it signed is to be replaced. */
  readonly isTainted: boolean;
}

export interface X509AuthorityRecord extends AuthorityRecordContent {
  readonly kind: 'x509';
  /** Lower-case hex of the subject key identifier; unique. */
  readonly authorityId: string;
  /** DER of the CA certificate, then of its intermediates up to but without the trust anchor when there is an upstream. */
  readonly certificateChain: readonly Buffer[];
  /** Lower-case hex of the subject key identifier of the trust anchor it stands under; undefined for a self-signed one. */
  readonly upstreamAuthorityId: string | undefined;
}

export interface TokenAuthorityRecord extends AuthorityRecordContent {
  readonly kind: 'jwt' | 'wit';
  /** The `kid`; no other authority, of either kind, has it. */
  readonly authorityId: string;
  /** PKIX SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
}

export type AuthorityRecord = X509AuthorityRecord | TokenAuthorityRecord;
export type AuthorityKind = AuthorityRecord['kind'];

export interface AuthorityReader {
  /** Of every server on the database. */
  list(): Promise<readonly AuthorityRecord[]>;
  /** Names of authorities, ours and those above us, that were revoked: whatever an upstream authority says, they are not published again. */
  listRevoked(): Promise<readonly string[]>;
}

export interface AuthorityWriter {
  /** Creates or replaces. */
  put(record: AuthorityRecord): Promise<void>;
  delete(authorityId: string): Promise<void>;
  /** @param expiresAt from then on nobody could accept it anyway; undefined for one that might be published anew under another date. */
  addRevoked(authorityId: string, expiresAt: Date | undefined): Promise<void>;
  /** Forgets the revoked ones that nobody could accept any more. */
  pruneRevoked(now: Date): Promise<void>;
}
