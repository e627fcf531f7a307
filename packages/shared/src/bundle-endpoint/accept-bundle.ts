/** Whether a bundle that an endpoint served takes the place of the one that is held (SPIFFE Federation section 4.2). */
import { formatBundleDocument } from '../bundle/bundle-document.js';
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { BonafideError } from '../errors/bonafide-error.js';
import { checkAuthorities } from '../bundle/check-authorities.js';

export type BundleVerdict =
  { readonly kind: 'unchanged' } | { readonly kind: 'replaces'; readonly remark: BundleRemark | undefined };

/** What is allowed and still worth a word in the log. */
export type BundleRemark =
  /** Trust Domain and Bundle section 4.1.3: every key is revoked. */
  | 'revokes_everything'
  /** Section 4.1.1 wants the number changed with the content. */
  | 'same_sequence_number';

/** Every agent and workload that federates has to carry them. */
const MAX_AUTHORITIES = 256;

const KINDS = [
  ['x509Authorities', 'X.509'],
  ['jwtAuthorities', 'JWT'],
  ['witAuthorities', 'WIT'],
] as const;

/** @throws BonafideError `failed_precondition` or `invalid_argument` with the reason to keep what is held. */
export function judgeBundle(held: TrustBundle | undefined, served: TrustBundle): BundleVerdict {
  checkAuthorities(served);
  for (const [kind, name] of KINDS) {
    if (served[kind].length > MAX_AUTHORITIES) {
      throw refused(
        `it has ${served[kind].length} ${name} authorities; at most ${MAX_AUTHORITIES} are accepted`,
      );
    }
  }
  if (held !== undefined && formatBundleDocument(held) === formatBundleDocument(served)) {
    return { kind: 'unchanged' };
  }
  checkOrder(held, served);
  checkLosses(held, served);
  return { kind: 'replaces', remark: remarkOn(held, served) };
}

/** 0 is a bundle without the number: of two such, the one that was fetched last counts. */
function checkOrder(held: TrustBundle | undefined, served: TrustBundle): void {
  if (held === undefined || served.sequenceNumber === 0) return;
  if (served.sequenceNumber < held.sequenceNumber) {
    throw refused(
      `its sequence number went back from ${held.sequenceNumber} to ${served.sequenceNumber}; if the trust domain was set up anew, set its bundle by hand`,
    );
  }
}

/** To lose all keys of a kind is a revocation when it is told by a newer number, and a fault of the endpoint otherwise. */
function checkLosses(held: TrustBundle | undefined, served: TrustBundle): void {
  if (held === undefined) {
    if (isEmpty(served)) throw refused('it has no key at all, and none is held to be revoked');
    return;
  }
  if (served.sequenceNumber > held.sequenceNumber && served.sequenceNumber > 0) return;
  for (const [kind, name] of KINDS) {
    if (held[kind].length > 0 && served[kind].length === 0) {
      throw refused(
        `it has no ${name} authorities left, and no newer sequence number that says this is meant`,
      );
    }
  }
}

function remarkOn(held: TrustBundle | undefined, served: TrustBundle): BundleRemark | undefined {
  if (isEmpty(served)) return 'revokes_everything';
  const isSameNumber = served.sequenceNumber > 0 && served.sequenceNumber === held?.sequenceNumber;
  return isSameNumber ? 'same_sequence_number' : undefined;
}

function isEmpty(bundle: TrustBundle): boolean {
  return KINDS.every(([kind]) => bundle[kind].length === 0);
}

function refused(why: string): BonafideError {
  return new BonafideError('failed_precondition', `the bundle is refused: ${why}`);
}
