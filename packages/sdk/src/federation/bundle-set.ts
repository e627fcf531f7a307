/** Bundles put together by the program itself: those of a source, and more, fetched from bundle endpoints or read from files. */
import { EventEmitter } from 'node:events';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SpiffeBundle } from '../bundle-source.js';
import type { JwtTrust } from '../verify-jwt-svid.js';
import type { WitTrust } from '../wit-source.js';
import type { X509Trust } from '../x509-source.js';

/** What a set can be made upon: any source of this library, or `{ bundles }` that never changes. */
export interface BundleSetBase {
  /** By trust domain; a profile that one lacks has no authorities. */
  readonly bundles: ReadonlyMap<TrustDomain, Partial<SpiffeBundle>>;
  /** As of an `X509Trust`. */
  readonly on?: X509Trust['on'];
  /** As of an `X509Trust`. */
  readonly off?: X509Trust['off'];
}

type Bundles = ReadonlyMap<TrustDomain, SpiffeBundle>;

const NOTHING: BundleSetBase = { bundles: new Map() };

/**
 * Trust for TLS (`withTrust`, or a client without an SVID), `verifyJwtSvid`, `verifyWitRequest`, and endpoints of bundles. What the base has counts
 * before what was put: nothing that is fetched takes the place of our own trust domain's bundle.
 * @example
 * const trust = new BundleSet(await BundleSource.create());
 * trust.put(await fetchBundle('other.example', { profile: 'https_web', url: 'https://bundle.other.example/' }));
 * const { spiffeId } = await verifyJwtSvid(trust, token, 'spiffe://example.org/billing');
 */
export class BundleSet implements X509Trust, JwtTrust, WitTrust {
  readonly #base: BundleSetBase;
  readonly #put = new Map<TrustDomain, SpiffeBundle>();
  readonly #events = new EventEmitter<{ update: [] }>().setMaxListeners(0);
  #merged: { readonly base: BundleSetBase['bundles']; readonly bundles: Bundles } | undefined;

  /** @param base undefined: the set has what is put into it and nothing else. */
  constructor(base: BundleSetBase = NOTHING) {
    this.#base = base;
  }

  /** By trust domain. A new map at each change. */
  get bundles(): Bundles {
    const { bundles: base } = this.#base;
    if (this.#merged?.base !== base) this.#merged = { base, bundles: merge(base, this.#put) };
    return this.#merged.bundles;
  }

  /** @throws BonafideError `not_found` for a trust domain that there is no bundle of. */
  bundleOf(trustDomain: TrustDomain): SpiffeBundle {
    const bundle = this.bundles.get(trustDomain);
    if (bundle !== undefined) return bundle;
    throw new BonafideError('not_found', `there is no bundle of trust domain ${trustDomain}`);
  }

  /** In the place of what was put before for its trust domain. */
  put(bundle: SpiffeBundle): void {
    this.#put.set(parseTrustDomainOrId(bundle.trustDomain), bundle);
    this.#changed();
  }

  /** Believes nobody of that trust domain any more, unless the base does. @param trustDomain `other.example` or `spiffe://other.example`. */
  remove(trustDomain: string): void {
    if (this.#put.delete(parseTrustDomainOrId(trustDomain))) this.#changed();
  }

  /** Tells of changes of the set, and of its base. */
  on(event: 'update' | 'denied' | 'close', listener: () => void): this {
    if (event === 'update') this.#events.on(event, listener);
    this.#base.on?.(event, listener);
    return this;
  }

  /** Ends what `on` began. */
  off(event: 'update' | 'denied' | 'close', listener: () => void): this {
    if (event === 'update') this.#events.off(event, listener);
    this.#base.off?.(event, listener);
    return this;
  }

  #changed(): void {
    this.#merged = undefined;
    this.#events.emit('update');
  }
}

function merge(base: BundleSetBase['bundles'], put: Bundles): Bundles {
  const bundles = new Map(put);
  for (const [trustDomain, bundle] of base) {
    const { x509Authorities = [], jwtAuthorities = [], witAuthorities = [] } = bundle;
    bundles.set(trustDomain, { trustDomain, x509Authorities, jwtAuthorities, witAuthorities });
  }
  return bundles;
}
