/** Authorities taken back: tainted first, so that everything under them is replaced, then revoked, so that nothing under them is accepted. */
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { TrustBundle, X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';

type TokenList = 'jwtAuthorities' | 'witAuthorities';

interface Withdrawable {
  readonly isTainted: boolean;
}

const NAMES = { jwtAuthorities: 'JWT', witAuthorities: 'WIT' } as const;

/**
 * @param subjectKeyId lower-case hex.
 * @throws BonafideError `not_found`, or `invalid_argument` when it is tainted already.
 */
export function taintX509Authority(bundle: TrustBundle, subjectKeyId: string): TrustBundle {
  const x509Authorities = taint(bundle.x509Authorities, hasSubjectKeyId(subjectKeyId), {
    missing: 'no ca found with provided subject key ID',
    tainted: 'root CA is already tainted',
  });
  return { ...bundle, x509Authorities, sequenceNumber: bundle.sequenceNumber + 1 };
}

/** @throws BonafideError `not_found`, or `invalid_argument` when it was not tainted before. */
export function revokeX509Authority(bundle: TrustBundle, subjectKeyId: string): TrustBundle {
  const x509Authorities = revoke(bundle.x509Authorities, hasSubjectKeyId(subjectKeyId), {
    missing: 'no root CA found with provided subject key ID',
    untainted: 'it is not possible to revoke an untainted root CA',
  });
  return { ...bundle, x509Authorities, sequenceNumber: bundle.sequenceNumber + 1 };
}

/** @throws BonafideError `not_found`, or `invalid_argument` when it is tainted already. */
export function taintTokenAuthority(bundle: TrustBundle, list: TokenList, keyId: string): TrustBundle {
  const authorities = taint(bundle[list], (authority) => authority.keyId === keyId, {
    missing: `no ${NAMES[list]} Key found with provided key ID`,
    tainted: 'key is already tainted',
  });
  return { ...bundle, [list]: authorities, sequenceNumber: bundle.sequenceNumber + 1 };
}

/** @throws BonafideError `not_found`, or `invalid_argument` when it was not tainted before. */
export function revokeTokenAuthority(bundle: TrustBundle, list: TokenList, keyId: string): TrustBundle {
  const authorities = revoke(bundle[list], (authority) => authority.keyId === keyId, {
    missing: `no ${NAMES[list]} Key found with provided key ID`,
    untainted: 'it is not possible to revoke an untainted key',
  });
  return { ...bundle, [list]: authorities, sequenceNumber: bundle.sequenceNumber + 1 };
}

function hasSubjectKeyId(subjectKeyId: string): (authority: X509Authority) => boolean {
  return ({ certificate }) => parseX509Certificate(certificate).subjectKeyId === subjectKeyId;
}

function taint<Authority extends Withdrawable>(
  authorities: readonly Authority[],
  isMeant: (authority: Authority) => boolean,
  words: { readonly missing: string; readonly tainted: string },
): readonly Authority[] {
  const meant = authorities.filter(isMeant);
  if (meant.length === 0) throw new BonafideError('not_found', words.missing);
  if (meant.every(({ isTainted }) => isTainted)) throw invalidArgument(words.tainted);
  return authorities.map((authority) =>
    meant.includes(authority) ? { ...authority, isTainted: true } : authority,
  );
}

function revoke<Authority extends Withdrawable>(
  authorities: readonly Authority[],
  isMeant: (authority: Authority) => boolean,
  words: { readonly missing: string; readonly untainted: string },
): readonly Authority[] {
  const meant = authorities.filter(isMeant);
  if (meant.length === 0) throw new BonafideError('not_found', words.missing);
  if (meant.some(({ isTainted }) => !isTainted)) throw invalidArgument(words.untainted);
  return authorities.filter((authority) => !meant.includes(authority));
}
