/** A serving certificate from an ACME authority, renewed when a third of its life is left; validated on the port that it serves. */
import {
  checkCertificatePair,
  type CertificatePair,
  type CheckedCertificatePair,
} from '../../crypto/certificate-pair.js';
import { BonafideError, errorMessage } from '../../errors/bonafide-error.js';
import { Backoff } from '../../runtime/backoff.js';
import { sleep, type Clock } from '../../runtime/clock.js';
import type { Logger } from '../../runtime/logger.js';
import { Listeners } from '../listeners.js';
import type { ServingCertificate } from '../serving-certificate.js';
import { AcmeCache } from './acme-cache.js';
import { AcmeSession } from './acme-session.js';
import { orderCertificate } from './order-certificate.js';

export interface AcmeOptions {
  readonly directoryUrl: URL;
  readonly email: string;
  /** Lower case, at least one; all of them on the one certificate. */
  readonly domains: readonly string[];
  /** Undefined: account and certificate are made anew at every start. */
  readonly cacheFolder: string | undefined;
  /** PEM of the authority's own TLS roots; undefined: those that Node.js trusts. */
  readonly trustedRoots?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Authorities count failures by the hour; the first few follow quickly, for a listener that was not up yet. */
const RETRY = { initialMs: 10_000, maximumMs: 3_600_000 };
/** An authority whose certificates are due as soon as they are here is not asked in a loop. */
const LEAST_BETWEEN_ORDERS_MS = 10_000;
/** The wall clock may be set: it is asked again after this long. */
const LONGEST_SLEEP_MS = 3_600_000;

export class AcmeCertificate implements ServingCertificate {
  readonly #options: AcmeOptions;
  readonly #cache: AcmeCache;
  readonly #listeners = new Listeners<CertificatePair>();
  readonly #validations = new Map<string, CertificatePair>();
  #retryMs = LEAST_BETWEEN_ORDERS_MS;
  #current: CheckedCertificatePair | undefined;

  constructor(options: AcmeOptions) {
    this.#options = options;
    this.#cache = new AcmeCache(options.cacheFolder, options.directoryUrl);
  }

  current(): CertificatePair | undefined {
    return this.#current;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    return this.#listeners.add(listener);
  }

  challenge(serverName: string): CertificatePair | undefined {
    return this.#validations.get(serverName.toLowerCase());
  }

  /** The server should listen soon after: the authority's validation comes there. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#loadCached();
    void this.#keepFresh(signal);
  }

  async #loadCached(): Promise<void> {
    const { domains, log } = this.#options;
    try {
      this.#current = await this.#cache.certificate(domains);
    } catch (error) {
      log.warn(
        { err: error },
        `cannot use the cached certificate: ${errorMessage(error)}; a new one is ordered`,
      );
    }
    if (this.#current !== undefined) this.#listeners.tell(this.#current);
  }

  async #keepFresh(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const backoff = new Backoff(RETRY);
    while (!signal.aborted) {
      if (this.#untilRenewalMs() <= 0) await this.#tryToRenew(backoff, signal);
      const waitMs = Math.max(this.#untilRenewalMs(), this.#retryMs);
      await sleep(clock, Math.min(waitMs, LONGEST_SLEEP_MS), signal).catch(() => undefined); // only the signal ends it early
    }
  }

  async #tryToRenew(backoff: Backoff, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#renew(signal);
      // A clock that is wrong must not make us order one after the other, for authorities count those too.
      if (this.#untilRenewalMs() <= 0) {
        throw new BonafideError(
          'failed_precondition',
          'the new certificate is due for renewal already; compare the clocks',
        );
      }
      backoff.reset();
      this.#retryMs = LEAST_BETWEEN_ORDERS_MS;
    } catch (error) {
      this.#retryMs = backoff.nextDelayMs();
      const retrySeconds = Math.round(this.#retryMs / 1000);
      log.error({ err: error, retrySeconds }, `cannot renew the serving certificate: ${errorMessage(error)}`);
    }
  }

  #untilRenewalMs(): number {
    if (this.#current === undefined) return 0;
    const { notBefore, notAfter } = this.#current;
    const lifeMs = notAfter.getTime() - notBefore.getTime();
    return notAfter.getTime() - lifeMs / 3 - this.#options.clock.now().getTime();
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { directoryUrl, email, domains, trustedRoots, clock, log } = this.#options;
    const accountKey = await this.#cache.accountKey();
    const session = await AcmeSession.open({ directoryUrl, accountKey, trustedRoots, signal }, email);
    const validations = this.#validations;
    const pair = checkCertificatePair(
      await orderCertificate({ session, domains, validations, clock, signal }),
    );
    this.#current = pair;
    log.info({ domains, notAfter: pair.notAfter }, 'took a new serving certificate from the ACME authority');
    this.#listeners.tell(pair);
    await this.#cache.keepCertificate(pair);
  }
}
