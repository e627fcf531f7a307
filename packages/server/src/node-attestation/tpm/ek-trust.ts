/** Which TPMs are ours: those that a manufacturer certified, those that operators listed, or those that are both. */
import type { KeyObject } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { checkEndorsementKey } from '@bonafide/shared/tpm/proof/check-endorsement-key';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import type { TpmOffer } from '@bonafide/shared/tpm/proof/tpm-evidence';
import { parseTpmPublic, publicKeyOf, type TpmPublic } from '@bonafide/shared/tpm/tpm-public';
import type { WriteTransaction } from '../../store/store.js';
import type { TpmEnrollmentReader } from '../../store/tpm-enrollment-record.js';
import type { NodeAttestorHost } from '../node-attestor.js';
import { parseEkHashes, type DigestList } from './digest-list.js';
import {
  isCertificateOfAnotherKey,
  loadEkRoots,
  verifyEkCertificate,
  type CertifiedEk,
} from './ek-certificate.js';
import type { TpmConfig } from './tpm-config.js';
import { WatchedFile } from '../watched-file.js';

export interface TrustedEk {
  readonly public: TpmPublic;
  readonly hash: string;
  /** Undefined: it is trusted for its hash alone. */
  readonly certified: CertifiedEk | undefined;
  /** It would not be trusted if operators had not enrolled it, who may take that back while it attests. */
  readonly needsEnrollment: boolean;
}

type TrustConfig = Pick<TpmConfig, 'ek_roots' | 'ek_hashes_path' | 'ek_enrollment' | 'ek_trust'>;

interface EkTrustParts {
  readonly config: TrustConfig;
  /** DER; undefined: certificates are not looked at. */
  readonly roots: readonly Buffer[] | undefined;
  readonly hashes: WatchedFile<DigestList> | undefined;
  readonly enrollments: TpmEnrollmentReader | undefined;
}

export class EkTrust {
  readonly #parts: EkTrustParts;

  private constructor(parts: EkTrustParts) {
    this.#parts = parts;
  }

  /** @throws BonafideError `invalid_argument` when a file cannot be used. */
  static async open(
    config: TrustConfig,
    { store, clock, log }: Pick<NodeAttestorHost, 'store' | 'clock' | 'log'>,
  ): Promise<EkTrust> {
    const { ek_roots: roots, ek_hashes_path: path } = config;
    return new EkTrust({
      config,
      roots: roots === undefined ? undefined : await loadEkRoots(roots),
      hashes:
        path === undefined ? undefined : await WatchedFile.open({ path, parse: parseEkHashes, clock, log }),
      enrollments: config.ek_enrollment ? store.tpmEnrollments : undefined,
    });
  }

  /** @throws BonafideError `permission_denied` or `invalid_argument` saying why it is none of ours. */
  async check(offer: TpmOffer, now: Date): Promise<TrustedEk> {
    const ek = parseTpmPublic(offer.ekPublic);
    checkEndorsementKey(ek);
    const key = publicKeyOf(ek);
    const hash = ekHash(key);
    const { config } = this.#parts;
    const { certified, problem } = this.#certify(offer, key, now);
    const isCertified = certified !== undefined;
    const isInFile = await this.#isInFile(hash);
    const needsEnrollment = !isTrusted(config.ek_trust, isCertified, isInFile);
    const isListed = isInFile || (needsEnrollment && (await this.#isEnrolled(hash)));
    if (!isTrusted(config.ek_trust, isCertified, isListed)) {
      const unlisted = `its EK hash ${hash} is not on the allow-list`;
      const why = {
        certificate: problem,
        allow_list: unlisted,
        either: `${problem}, and ${unlisted}`,
        both: isCertified ? unlisted : problem,
      }[config.ek_trust];
      throw new BonafideError('permission_denied', `TPM not trusted: ${why}`);
    }
    return { public: ek, hash, certified, needsEnrollment };
  }

  /** Whether a TPM that was trusted still is, by what can change without its certificate. */
  async isStillTrusted(hash: string, isCertified: boolean): Promise<boolean> {
    const { ek_trust: trust } = this.#parts.config;
    if (trust === 'certificate' || (trust === 'either' && isCertified)) return isCertified;
    return isTrusted(trust, isCertified, (await this.#isInFile(hash)) || (await this.#isEnrolled(hash)));
  }

  /** @throws BonafideError `permission_denied` when its enrollment ended since it was checked. */
  async confirm({ hash, needsEnrollment }: TrustedEk, { tpmEnrollments }: WriteTransaction): Promise<void> {
    if (!needsEnrollment || (await tpmEnrollments.get(hash)) !== undefined) return;
    throw new BonafideError(
      'permission_denied',
      `TPM not trusted: its EK hash ${hash} was taken off the allow-list while it attested`,
    );
  }

  /** A certificate of another key is refused at once; one that is merely not believed may not be needed. */
  #certify(
    { ekCertificate: certificate, ekChain: chain }: TpmOffer,
    ek: KeyObject,
    now: Date,
  ): { readonly certified?: CertifiedEk; readonly problem: string } {
    const { roots } = this.#parts;
    if (roots === undefined || certificate === undefined) return { problem: 'it has no EK certificate' };
    if (isCertificateOfAnotherKey(certificate, ek)) {
      throw new BonafideError(
        'permission_denied',
        'TPM not trusted: its EK certificate is about another key',
      );
    }
    try {
      return { certified: verifyEkCertificate({ certificate, chain, roots, ek, now }), problem: '' };
    } catch (error) {
      if (error instanceof BonafideError) return { problem: error.message };
      throw error;
    }
  }

  async #isInFile(hash: string): Promise<boolean> {
    return (await this.#parts.hashes?.current())?.digests.has(hash) === true;
  }

  async #isEnrolled(hash: string): Promise<boolean> {
    return (await this.#parts.enrollments?.get(hash)) !== undefined;
  }
}

function isTrusted(trust: TpmConfig['ek_trust'], isCertified: boolean, isListed: boolean): boolean {
  switch (trust) {
    case 'certificate':
      return isCertified;
    case 'allow_list':
      return isListed;
    case 'either':
      return isCertified || isListed;
    case 'both':
      return isCertified && isListed;
  }
}
