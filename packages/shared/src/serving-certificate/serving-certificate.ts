/** Where a TLS server for the open web has its certificate from: files that an operator renews, or an ACME authority. */
import type { CertificatePair } from '../crypto/certificate-pair.js';

export interface ServingCertificate {
  /** Undefined while there is none yet, as before an ACME authority has answered. */
  current(): CertificatePair | undefined;
  /** Called with every new pair, the first one too. @returns the way to unsubscribe. */
  onChange(listener: (pair: CertificatePair) => void): () => void;
  /** What answers an ACME validation for this name right now (RFC 8737); absent where there never is one. */
  challenge?(serverName: string): CertificatePair | undefined;
  /**
   * Begins to keep the certificate fresh, until the signal fires.
   * @throws BonafideError when it can be known at once that there will be none.
   */
  start(signal: AbortSignal): Promise<void>;
  /**
   * Looks at once whether there is another, for an operator who asks. Absent where nobody but the certificate knows when to look.
   * @returns what puts it in place. @throws BonafideError when it cannot be used; the last one stays.
   */
  prepareReload?(): Promise<() => void>;
}
