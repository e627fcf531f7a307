/** What one caller may have, by name: its SVIDs and bundles under their SPIFFE IDs, and under the names that stand for some of them. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { WorkloadUpdate } from '../svid-cache/workload-identities.js';
import type { BundleForm } from './bundle-form.js';
import type { SdsConfig } from './sds-config.js';
import { bundleSecret, svidSecret, type Secret } from './secret.js';

/** Streams that are given the same update share its secrets; they go when the update goes. */
export class SecretGrants {
  readonly #config: SdsConfig;
  readonly #byUpdate = new WeakMap<WorkloadUpdate, GrantedSecrets>();

  constructor(config: SdsConfig) {
    this.#config = config;
  }

  of(update: WorkloadUpdate): GrantedSecrets {
    const present = this.#byUpdate.get(update);
    if (present !== undefined) return present;
    const granted = new GrantedSecrets(update, this.#config);
    this.#byUpdate.set(update, granted);
    return granted;
  }
}

export class GrantedSecrets {
  readonly #config: SdsConfig;
  /** By SPIFFE ID, the caller's default identity first; of two with one ID the first. */
  readonly #svids = new Map<string, X509Svid>();
  /** By the trust domain's ID, our own first, then by name; none without authorities, which Envoy would refuse. */
  readonly #bundles = new Map<string, TrustBundle>();
  readonly #ownBundle: TrustBundle | undefined;
  /** By form and name; only of what is granted, so callers cannot make it grow. */
  readonly #made = new Map<string, Secret>();

  constructor({ bundles, identities, trustDomain }: WorkloadUpdate, config: SdsConfig) {
    this.#config = config;
    for (const { svid } of identities) {
      if (!this.#svids.has(svid.spiffeId)) this.#svids.set(svid.spiffeId, svid);
    }
    const usable = [...bundles.values()].filter(({ x509Authorities }) => x509Authorities.length > 0);
    this.#ownBundle = usable.find((bundle) => bundle.trustDomain === trustDomain);
    const others = usable.filter((bundle) => bundle !== this.#ownBundle);
    others.sort((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1));
    for (const bundle of [...(this.#ownBundle === undefined ? [] : [this.#ownBundle]), ...others]) {
      this.#bundles.set(trustDomainId(bundle.trustDomain), bundle);
    }
  }

  /**
   * Undefined for what the caller may not have, or nobody has.
   * @throws BonafideError `invalid_argument` for all bundles in a form that cannot hold them apart.
   */
  find(name: string, form: BundleForm): Secret | undefined {
    const key = `${form} ${name}`;
    const present = this.#made.get(key);
    if (present !== undefined) return present;
    const made = this.#make(name, form);
    if (made !== undefined) this.#made.set(key, made);
    return made;
  }

  /** Each once, under its SPIFFE ID. */
  all(form: BundleForm): readonly Secret[] {
    return [...this.#bundles.keys(), ...this.#svids.keys()].flatMap((name) => this.find(name, form) ?? []);
  }

  #make(name: string, form: BundleForm): Secret | undefined {
    const { default_svid_name, default_bundle_name, default_all_bundles_name } = this.#config;
    const bundle = this.#bundles.get(name) ?? (name === default_bundle_name ? this.#ownBundle : undefined);
    if (bundle !== undefined) return bundleSecret(name, [bundle], form);
    if (name === default_all_bundles_name) return this.#allBundles(name, form);
    const [first] = this.#svids.values();
    const svid = this.#svids.get(name) ?? (name === default_svid_name ? first : undefined);
    return svid === undefined ? undefined : svidSecret(name, svid);
  }

  #allBundles(name: string, form: BundleForm): Secret | undefined {
    if (form === 'trusted_ca') {
      throw invalidArgument(
        `${JSON.stringify(name)} needs Envoy's SPIFFE validator, which is in Envoy since 1.18 and not disabled by disable_spiffe_cert_validation; expected the SPIFFE ID of one trust domain`,
      );
    }
    return this.#ownBundle === undefined ? undefined : bundleSecret(name, [...this.#bundles.values()], form);
  }
}
