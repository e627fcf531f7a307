/** The server's own X.509-SVID for its TLS port: `/spire/server`, renewed at half of its life and whenever the authority changes. */
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { serverId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { X509SvidIssuer } from '../issuance/x509-svid-request.js';
import type { AuthorityRotation } from './authority-rotation.js';

export interface ServerSvidOptions {
  readonly trustDomain: TrustDomain;
  readonly issuer: X509SvidIssuer;
  readonly rotation: Pick<AuthorityRotation, 'onRotation'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly ttlSeconds: number;
  readonly keyType?: KeyType;
  /** Beside the SPIFFE ID; none unless told. */
  readonly dnsNames?: readonly string[];
}

export type ServerSvidListener = (svid: X509Svid) => void;

/** Timers count seconds that pass, not the wall clock, which may be set; look again this often. */
const LONGEST_WAIT_MS = 30_000;

export class ServerSvid {
  readonly #options: ServerSvidOptions;
  readonly #listeners = new Set<ServerSvidListener>();
  readonly #backoff = new Backoff({ initialMs: 1000, maximumMs: 30_000 });
  #current: X509Svid | undefined;
  /** Whether the authority changed since it was asked for, or could not give one. */
  #isOutdated = false;
  #timer: Timer | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ServerSvidOptions) {
    this.#options = options;
  }

  /** To be called once an authority is active; an SVID is there when this resolves. Renews until the signal fires. */
  async start(signal: AbortSignal): Promise<void> {
    await this.renew();
    const stopListening = this.#options.rotation.onRotation(() => {
      this.#isOutdated = true;
      this.#schedule(0, signal);
    });
    signal.addEventListener(
      'abort',
      () => {
        stopListening();
        this.#timer?.cancel();
      },
      { once: true },
    );
    this.#schedule(this.#delayMs(), signal);
  }

  /** @throws BonafideError `unavailable` before `start`. */
  current(): X509Svid {
    if (this.#current === undefined) throw new BonafideError('unavailable', 'the server has no SVID yet');
    return this.#current;
  }

  /** Called with each new SVID. @returns the way to stop. */
  onUpdate(listener: ServerSvidListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A new key and a new SVID, now. */
  renew(): Promise<void> {
    const turn = this.#turn.then(() => this.#renew());
    this.#turn = turn.catch(() => undefined); // the caller hears of it
    return turn;
  }

  #schedule(delayMs: number, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.schedule(delayMs, () => {
      if (!this.#isRenewalDue()) {
        this.#schedule(this.#delayMs(), signal);
        return;
      }
      this.renew().then(
        () => {
          this.#backoff.reset();
          this.#schedule(this.#delayMs(), signal);
        },
        (error: unknown) => {
          const retryMs = this.#backoff.nextDelayMs();
          this.#options.log.error(
            { err: error, retry_ms: Math.round(retryMs) },
            `cannot renew the server's SVID: ${errorMessage(error)}`,
          );
          this.#isOutdated = true;
          this.#schedule(retryMs, signal);
        },
      );
    });
  }

  async #renew(): Promise<void> {
    const { trustDomain, issuer, ttlSeconds, keyType = 'ec-p256', dnsNames = [], log } = this.#options;
    const spiffeId = serverId(trustDomain);
    const privateKey = await generatePrivateKey(keyType);
    const csr = await createCertificateSigningRequest(privateKey, { uriNames: [spiffeId] });
    this.#isOutdated = false;
    const { certificateChain, notBefore, notAfter, serialNumber } = await issuer.issue({
      csr,
      spiffeId,
      dnsNames,
      ttlSeconds,
    });
    const svid: X509Svid = { spiffeId, certificateChain, privateKey, notBefore, notAfter, hint: undefined };
    this.#current = svid;
    log.debug(
      { serial_number: serialNumber, expires_at: notAfter.toISOString() },
      "the server's SVID was renewed",
    );
    for (const listener of this.#listeners) listener(svid);
  }

  #isRenewalDue(): boolean {
    return this.#renewalDelayMs() <= 0;
  }

  /** Milliseconds until half of its life is over; also due when the clock was set back to before it began. */
  #renewalDelayMs(): number {
    if (this.#current === undefined || this.#isOutdated) return 0;
    const { notBefore, notAfter } = this.#current;
    const now = this.#options.clock.now().getTime();
    if (now < notBefore.getTime()) return 0;
    return (notBefore.getTime() + notAfter.getTime()) / 2 - now;
  }

  #delayMs(): number {
    return Math.min(Math.max(this.#renewalDelayMs(), 100), LONGEST_WAIT_MS);
  }
}
