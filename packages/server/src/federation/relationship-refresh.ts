/** Keeps the bundle of one foreign trust domain fresh: asks its endpoint again and again, and keeps the last good bundle when it fails. */
import { isDeepStrictEqual } from 'node:util';
import type { FederationRelationship } from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { FederatedBundles } from '../trust-bundle/federated-bundles.js';
import { judgeBundle, type BundleRemark } from '@bonafide/shared/bundle-endpoint/accept-bundle';
import type { EndpointTrust } from '@bonafide/shared/bundle-endpoint/connect-to-endpoint';
import { fetchBundle, type FetchLimits } from '@bonafide/shared/bundle-endpoint/fetch-bundle';
import {
  nextRefreshMs,
  refreshIntervalMs,
  retryBounds,
} from '@bonafide/shared/bundle-endpoint/refresh-schedule';
import type { TellOwnAct } from '../audit/own-acts.js';
import type { RefreshSlots } from './refresh-slots.js';

export interface RefreshHost {
  readonly federatedBundles: FederatedBundles;
  /** What is held of a trust domain, our own too. */
  readonly heldBundle: (trustDomain: TrustDomain) => TrustBundle | undefined;
  /** PEM; undefined: those of the web PKI. */
  readonly webAuthorities: readonly string[] | undefined;
  readonly limits: FetchLimits;
  readonly slots: RefreshSlots;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  /** Hears of bundles that changed. */
  readonly tell?: TellOwnAct | undefined;
  /** Told of every attempt, whether or not it brought anything new. */
  readonly onAttempt?: ((trustDomain: TrustDomain, isSuccess: boolean) => void) | undefined;
}

export class RelationshipRefresh {
  readonly #host: RefreshHost;
  readonly #stop = new AbortController();
  #relationship: FederationRelationship;
  /** Of the endpoint as it is now; aborted when it changes. */
  #attempts = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();
  #requested: Promise<void> | undefined;
  #wake: () => void = () => undefined;
  #failures = 0;
  /** Of the next attempt, by the monotonic clock. */
  #dueMs: number;
  /** What the next attempt was to wait for has changed: it is made whatever the time is. */
  #isUrgent = false;
  #backoff: { readonly intervalMs: number; readonly backoff: Backoff } | undefined;
  #lacksEndpointBundle = false;
  #answeredAt: Date | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(relationship: FederationRelationship, host: RefreshHost) {
    this.#relationship = relationship;
    this.#host = host;
    this.#dueMs = host.clock.monotonicMs();
  }

  /** When the endpoint last gave a bundle that is believed. */
  get answeredAt(): Date | undefined {
    return this.#answeredAt;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Resolves when nothing is going on any more; nothing is stored after it was called. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#attempts.abort();
    this.#wake();
    await this.#loop;
    await this.#turn;
  }

  /** @returns whether it is another endpoint, which is then asked at once. */
  update(relationship: FederationRelationship): boolean {
    if (isDeepStrictEqual(relationship, this.#relationship)) return false;
    this.#relationship = relationship;
    this.#attempts.abort();
    this.#attempts = new AbortController();
    this.#failures = 0;
    this.#backoff = undefined;
    this.#attemptSoon();
    return true;
  }

  /** Somebody has set a bundle: perhaps the one by which the endpoint is authenticated. */
  bundleChanged(trustDomain: TrustDomain): void {
    const { profile } = this.#relationship.endpoint;
    if (!this.#lacksEndpointBundle || profile.kind !== 'https_spiffe') return;
    if (trustDomainOf(profile.endpointId) === trustDomain) this.#attemptSoon();
  }

  /** Asks now, after whatever is going on. @throws BonafideError when it fails; the bundle that is held stays. */
  refresh(): Promise<void> {
    // Those who come while one waits for its turn wait for the same one.
    this.#requested ??= this.#inTurn(() => {
      this.#requested = undefined;
      return this.#attempt();
    });
    return this.#requested;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const waitMs = this.#dueMs - this.#host.clock.monotonicMs();
      if (waitMs > 0 && !this.#isUrgent) await this.#wait(waitMs);
      else {
        this.#isUrgent = false;
        await this.#inTurn(() => this.#attempt()).catch(() => undefined); // has been told
      }
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined); // whoever asked for it hears of it
    return turn;
  }

  async #attempt(): Promise<void> {
    const { signal } = this.#attempts;
    try {
      await this.#fetchAndStore();
      this.#succeeded();
    } catch (error) {
      // Aborted: there is another endpoint to ask at once, or nobody to ask any more.
      if (!signal.aborted) this.#failed(error);
      throw error;
    }
  }

  async #fetchAndStore(): Promise<void> {
    const { slots, federatedBundles, heldBundle, limits, clock } = this.#host;
    const relationship = this.#relationship;
    const { signal } = this.#attempts;
    const { trustDomain } = relationship;
    const trust = this.#endpointTrust();
    const served = await slots.run(signal, () => fetchBundle({ relationship, trust, limits, clock, signal }));
    // Looked at before a revision is taken, and again inside the write that counts.
    if (judgeBundle(heldBundle(trustDomain), served).kind === 'unchanged') {
      this.#host.log.debug({ trust_domain: trustDomain }, 'the federated bundle is up to date');
      return;
    }
    let remark: BundleRemark | undefined;
    const isStored = await federatedBundles.replace(served, (held) => {
      if (signal.aborted) throw new BonafideError('cancelled', 'the relationship was changed meanwhile');
      const verdict = judgeBundle(held, served);
      if (verdict.kind === 'replaces') remark = verdict.remark;
      return verdict.kind === 'replaces';
    });
    if (isStored) this.#report(served, remark);
  }

  /** @throws BonafideError `failed_precondition` while the bundle of the endpoint's trust domain is not held. */
  #endpointTrust(): EndpointTrust {
    const { profile } = this.#relationship.endpoint;
    this.#lacksEndpointBundle = false;
    if (profile.kind === 'https_web') return { kind: 'https_web', authorities: this.#host.webAuthorities };
    const { endpointId } = profile;
    const endpointDomain = trustDomainOf(endpointId);
    const bundle = this.#host.heldBundle(endpointDomain);
    if (bundle === undefined || bundle.x509Authorities.length === 0) {
      this.#lacksEndpointBundle = true;
      throw new BonafideError(
        'failed_precondition',
        `no X.509 authority of ${endpointDomain} is held, so its endpoint cannot authenticate itself; set its bundle once with bundle set --id ${endpointDomain}`,
      );
    }
    return { kind: 'https_spiffe', endpointId, bundle, now: this.#host.clock.now() };
  }

  #report(served: TrustBundle, remark: BundleRemark | undefined): void {
    const fields = {
      ...this.#fields(),
      sequence_number: served.sequenceNumber,
      x509_authorities: served.x509Authorities.length,
      jwt_authorities: served.jwtAuthorities.length,
      wit_authorities: served.witAuthorities.length,
    };
    const { log, tell } = this.#host;
    const { trustDomain, sequenceNumber } = served;
    void tell?.('bundle_refreshed', {
      subject: { trustDomain },
      details: { sequence_number: sequenceNumber },
    });
    if (remark === 'revokes_everything') {
      log.error(
        fields,
        'the federated trust domain has revoked all of its keys: nothing of it is believed now',
      );
    } else if (remark === 'same_sequence_number') {
      log.warn(fields, 'Bundle refreshed, though its sequence number stayed the same');
    } else log.info(fields, 'Bundle refreshed');
  }

  #succeeded(): void {
    this.#answeredAt = this.#host.clock.now();
    this.#host.onAttempt?.(this.#relationship.trustDomain, true);
    if (this.#failures > 0) {
      this.#host.log.info(
        { ...this.#fields(), failures: this.#failures },
        'the bundle endpoint is well again',
      );
    }
    this.#failures = 0;
    this.#backoff = undefined;
    this.#attemptIn(nextRefreshMs(this.#intervalMs(), this.#host.random()));
  }

  #failed(error: unknown): void {
    this.#host.onAttempt?.(this.#relationship.trustDomain, false);
    this.#failures += 1;
    const retryMs = this.#retryMs();
    this.#attemptIn(retryMs);
    const { trustDomain } = this.#relationship;
    const isHeld = this.#host.heldBundle(trustDomain) !== undefined;
    this.#host.log.error(
      {
        err: error,
        ...this.#fields(),
        failures: this.#failures,
        holds_bundle: isHeld,
        retry_ms: Math.round(retryMs),
      },
      `cannot refresh the bundle of ${trustDomain}: ${errorMessage(error)}${isHeld ? '; the last good one is kept' : ''}`,
    );
  }

  #retryMs(): number {
    const intervalMs = this.#intervalMs();
    if (this.#backoff?.intervalMs !== intervalMs) {
      const backoff = new Backoff({ ...retryBounds(intervalMs), random: this.#host.random });
      this.#backoff = { intervalMs, backoff };
    }
    return this.#backoff.backoff.nextDelayMs();
  }

  #intervalMs(): number {
    return refreshIntervalMs(this.#host.heldBundle(this.#relationship.trustDomain)?.refreshHintSeconds);
  }

  #fields(): Readonly<Record<string, unknown>> {
    const { trustDomain, endpoint } = this.#relationship;
    return {
      trust_domain: trustDomain,
      bundle_endpoint_url: endpoint.url,
      bundle_endpoint_profile: endpoint.profile.kind,
      ...(endpoint.profile.kind === 'https_spiffe' && { endpoint_spiffe_id: endpoint.profile.endpointId }),
    };
  }

  #attemptSoon(): void {
    this.#isUrgent = true;
    this.#wake();
  }

  /** Whoever asks by hand sets the time of the next attempt too: the hint that came with it counts from then. */
  #attemptIn(delayMs: number): void {
    this.#dueMs = this.#host.clock.monotonicMs() + delayMs;
    this.#wake();
  }

  async #wait(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#host.clock.schedule(delayMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = () => undefined;
  }
}
