/** Signing authorities as the store keeps them: which key signs, since when, until when. Keys themselves live in the key manager. */

export type AuthoritySlot = 'prepared' | 'active' | 'old';

export interface X509AuthorityRecord {
  readonly kind: 'x509';
  /** Lower-case hex of the subject key identifier; unique. */
  readonly authorityId: string;
  readonly slot: AuthoritySlot;
  /** Under which the key manager finds the private key. */
  readonly keyId: string;
  /** DER of the CA certificate, then of its intermediates up to but without the trust anchor when there is an upstream. */
  readonly certificateChain: readonly Buffer[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly isTainted: boolean;
}

/** Grows by a member for each kind of token authority. */
export type AuthorityRecord = X509AuthorityRecord;

export interface AuthorityReader {
  list(): Promise<readonly AuthorityRecord[]>;
}

export interface AuthorityWriter {
  /** Creates or replaces. */
  put(record: AuthorityRecord): Promise<void>;
  delete(authorityId: string): Promise<void>;
}
