/** An identity for TLS that a test sets, in the place of a source that follows a Workload API. */
import { EventEmitter } from 'node:events';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { TestAuthority } from './test-authority.js';

interface Bundle {
  readonly trustDomain: TrustDomain;
  readonly x509Authorities: readonly Buffer[];
}

type Bundles = ReadonlyMap<TrustDomain, Bundle>;

/** @example const identity = new TestIdentity(await authority.issueX509Svid('/web'), bundlesOf(authority, foreign)); */
export class TestIdentity extends EventEmitter<{ update: []; denied: []; close: [] }> {
  #svid: X509Svid | undefined;
  bundles: Bundles;

  constructor(svid: X509Svid | undefined, bundles: Bundles) {
    super();
    this.#svid = svid;
    this.bundles = bundles;
  }

  get svid(): X509Svid {
    if (this.#svid === undefined) throw new Error('nothing is granted');
    return this.#svid;
  }

  set(svid: X509Svid | undefined, bundles: Bundles = this.bundles): void {
    this.#svid = svid;
    this.bundles = bundles;
    this.emit(svid === undefined ? 'denied' : 'update');
  }
}

/** A bundle for each authority's trust domain. */
export function bundlesOf(...authorities: readonly TestAuthority[]): Bundles {
  return new Map(
    authorities.map((each) => {
      const { trustDomain, x509Authorities } = each.bundle();
      const certificates = x509Authorities.map(({ certificate }) => certificate);
      return [trustDomain, { trustDomain, x509Authorities: certificates }];
    }),
  );
}
