/** Refreshes the bundles of all trust domains that we federate with, and follows the relationships as they come, change and go. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { CommittedRevision, Store } from '../store/store.js';
import { FETCH_LIMITS } from '@bonafide/shared/bundle-endpoint/fetch-bundle';
import { RefreshSlots } from './refresh-slots.js';
import { RelationshipRefresh, type RefreshHost } from './relationship-refresh.js';
import type { FederationRelationships } from './relationships.js';

export interface BundleRefreshOptions extends Pick<
  RefreshHost,
  'federatedBundles' | 'heldBundle' | 'clock' | 'log' | 'tell' | 'onAttempt'
> {
  readonly relationships: FederationRelationships;
  readonly store: Store;
  readonly limits?: RefreshHost['limits'];
  readonly webAuthorities?: RefreshHost['webAuthorities'];
  readonly random?: RefreshHost['random'];
}

const ENDPOINTS_AT_ONCE = 16;
const RETRY_MS = 5_000;

export class BundleRefresh {
  readonly #options: BundleRefreshOptions;
  readonly #host: RefreshHost;
  readonly #running = new Map<TrustDomain, RelationshipRefresh>();
  #isStopped = false;
  #turn: Promise<void> = Promise.resolve();
  #unsubscribe: () => void = () => undefined;

  constructor(options: BundleRefreshOptions) {
    this.#options = options;
    this.#host = {
      ...options,
      webAuthorities: options.webAuthorities,
      limits: options.limits ?? FETCH_LIMITS,
      slots: new RefreshSlots(ENDPOINTS_AT_ONCE),
      random: options.random ?? Math.random,
    };
  }

  /** The first attempts go on after this has resolved. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#options.store.subscribe((committed) => {
      this.#hear(committed);
    });
    await this.#follow();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unsubscribe();
    await this.#turn;
    await Promise.all([...this.#running.values()].map((refresh) => refresh.stop()));
    this.#running.clear();
  }

  /** When the endpoint of each trust domain last gave its bundle; those that never did are not among them. */
  answered(): readonly (readonly [TrustDomain, Date])[] {
    return [...this.#running].flatMap(([trustDomain, { answeredAt }]) =>
      answeredAt === undefined ? [] : [[trustDomain, answeredAt] as const],
    );
  }

  /**
   * Resolves when the bundle is as the endpoint has it now.
   * @throws BonafideError `not_found` without a relationship; otherwise why it could not be refreshed.
   */
  async refresh(trustDomain: TrustDomain): Promise<void> {
    await this.#follow();
    const refresh = this.#running.get(trustDomain);
    if (refresh === undefined) {
      throw new BonafideError('not_found', `no relationship with trust domain "${trustDomain}"`);
    }
    await refresh.refresh();
  }

  /** Must not keep the writer waiting, for it is the one whose change is told. */
  #hear({ changes }: CommittedRevision): void {
    if (changes.some(({ kind }) => kind === 'federation' || kind === 'everything')) this.followSoon();
    for (const change of changes) {
      if (change.kind !== 'bundle') continue;
      for (const refresh of this.#running.values()) refresh.bundleChanged(change.trustDomain);
    }
  }

  /** What is in force has changed. */
  followSoon(): void {
    this.#follow().catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'cannot read the federation relationships; trying again');
      this.#options.clock.schedule(RETRY_MS, () => {
        this.followSoon();
      });
    });
  }

  /** What runs becomes what is in force. */
  #follow(): Promise<void> {
    const turn = this.#turn.then(() => this.#reconcile());
    this.#turn = turn.catch(() => undefined); // whoever asked for it hears of it
    return turn;
  }

  async #reconcile(): Promise<void> {
    if (this.#isStopped) return;
    const { relationships, log } = this.#options;
    const inForce = await relationships.inForce();
    const ended: Promise<void>[] = [];
    for (const [trustDomain, refresh] of this.#running) {
      if (inForce.has(trustDomain)) continue;
      this.#running.delete(trustDomain);
      ended.push(refresh.stop());
      log.info({ trust_domain: trustDomain }, 'Trust domain no longer managed');
    }
    for (const [trustDomain, relationship] of inForce) {
      const present = this.#running.get(trustDomain);
      const fields = {
        trust_domain: trustDomain,
        bundle_endpoint_url: relationship.endpoint.url,
        bundle_endpoint_profile: relationship.endpoint.profile.kind,
      };
      if (present === undefined) {
        const refresh = new RelationshipRefresh(relationship, this.#host);
        this.#running.set(trustDomain, refresh);
        refresh.start();
        log.info(fields, 'Trust domain is now managed');
      } else if (present.update(relationship)) {
        log.info(fields, 'Updated configuration for managed trust domain');
      }
    }
    await Promise.all(ended);
  }
}
