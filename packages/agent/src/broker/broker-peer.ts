/** A broker at the other end of a connection: who it is by its X.509-SVID, for as long as that is to be believed. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parseX509SvidLeaf, verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export interface BrokerPeerOptions {
  /** DER, leaf first, as the client sent it. */
  readonly chain: readonly Buffer[];
  readonly isTcp: boolean;
  readonly bundle: (trustDomain: TrustDomain) => TrustBundle | undefined;
  readonly clock: Clock;
}

export class BrokerPeer {
  readonly spiffeId: SpiffeId;
  readonly isTcp: boolean;
  readonly #options: BrokerPeerOptions;
  readonly #notAfter: Date;
  readonly #onEnd = new Set<(why: BonafideError) => void>();
  /** Bundles never change in place: under the same one the chain need not be verified again. */
  #verifiedUnder: TrustBundle | undefined;

  /** @throws BonafideError `unauthenticated` when the chain is not to be believed. */
  constructor(options: BrokerPeerOptions) {
    this.#options = options;
    this.isTcp = options.isTcp;
    try {
      const [leaf = Buffer.alloc(0)] = options.chain;
      const { leaf: certificate, spiffeId } = parseX509SvidLeaf(leaf);
      this.spiffeId = spiffeId;
      this.#notAfter = certificate.notAfter;
    } catch (error) {
      throw notBelieved(error);
    }
    this.check();
  }

  /** @throws BonafideError `unauthenticated` once its SVID has expired, or no authority that we trust vouches for it any more. */
  check(): void {
    const { bundle: bundleOf, chain, clock } = this.#options;
    const now = clock.now();
    const trustDomain = trustDomainOf(this.spiffeId);
    const bundle = bundleOf(trustDomain);
    if (bundle === undefined) {
      throw new BonafideError('unauthenticated', `no bundle of trust domain ${trustDomain} is held`);
    }
    if (now > this.#notAfter)
      throw new BonafideError('unauthenticated', 'the X.509-SVID of the broker has expired');
    if (bundle === this.#verifiedUnder) return;
    try {
      const authorities = bundle.x509Authorities.map(({ certificate }) => certificate);
      verifyX509Svid({ chain, authorities, now, trustDomain });
    } catch (error) {
      throw notBelieved(error);
    }
    this.#verifiedUnder = bundle;
  }

  /** @param listener called at most once, when the broker is believed no longer. */
  onEnd(listener: (why: BonafideError) => void): { close(): void } {
    this.#onEnd.add(listener);
    return { close: () => void this.#onEnd.delete(listener) };
  }

  end(why: BonafideError): void {
    for (const listener of [...this.#onEnd]) listener(why);
    this.#onEnd.clear();
  }
}

function notBelieved(cause: unknown): BonafideError {
  return new BonafideError(
    'unauthenticated',
    `the X.509-SVID of the broker is refused: ${errorMessage(cause)}`,
    {
      cause,
    },
  );
}
