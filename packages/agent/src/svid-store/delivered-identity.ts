/** An identity as it is written to files: chain, key, and the bundles to verify others by. */
import { encodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export interface DeliveredIdentity {
  readonly spiffeId: string;
  readonly hint: string | undefined;
  /** DER, leaf first. */
  readonly certificateChain: readonly Buffer[];
  /** PKCS#8, DER. */
  readonly privateKey: Buffer;
  readonly notAfter: Date;
  /** Of its own trust domain, DER. */
  readonly bundle: readonly Buffer[];
  /** By trust domain ID, in its order. */
  readonly federatedBundles: readonly (readonly [string, readonly Buffer[]])[];
}

export interface PemTexts {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly bundle: string;
}

export interface PemChoices {
  /** Into the bundle in place of the chain. */
  readonly addsIntermediatesToBundle: boolean;
  readonly includesFederatedDomains: boolean;
  /** Authorities that are over at this moment are left out of the bundle; undefined: none is. */
  readonly omitsExpiredAt: Date | undefined;
}

/** @throws BonafideError `internal` when nothing would be left in a file. */
export function pemTexts(identity: DeliveredIdentity, choices: PemChoices): PemTexts {
  const [leaf, ...intermediates] = identity.certificateChain;
  if (leaf === undefined) throw new BonafideError('internal', `${identity.spiffeId} has no certificate`);
  const { addsIntermediatesToBundle, includesFederatedDomains, omitsExpiredAt } = choices;
  const authorities = [
    ...(addsIntermediatesToBundle ? intermediates : []),
    ...identity.bundle,
    ...(includesFederatedDomains ? identity.federatedBundles.flatMap(([, bundle]) => bundle) : []),
  ].filter(
    (der) =>
      omitsExpiredAt === undefined || parseX509Certificate(der).notAfter.getTime() > omitsExpiredAt.getTime(),
  );
  if (authorities.length === 0) {
    throw new BonafideError('internal', `the bundle of ${identity.spiffeId} has no authority that is valid`);
  }
  return {
    certificateChain: certificatesPem(addsIntermediatesToBundle ? [leaf] : identity.certificateChain),
    privateKey: encodePem('PRIVATE KEY', identity.privateKey),
    bundle: certificatesPem(authorities),
  };
}

export function certificatesPem(certificates: readonly Buffer[]): string {
  return certificates.map((der) => encodePem('CERTIFICATE', der)).join('');
}
