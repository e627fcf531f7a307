/** The life of the authorities we sign with: made, published, put to use, retired; the same after a restart. */
import { randomUUID } from 'node:crypto';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import type { DistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import {
  addSeconds,
  dateFromUnixSeconds,
  unixSeconds,
  type Clock,
  type Timer,
} from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509AuthorityRecord } from '../store/authority-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import { appendToBundle, isPastUse, pruneBundle } from '../trust-bundle/merge-bundle.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';
import type { KeyManager, Signer } from './key-manager.js';
import { nextRotation, type RotatingAuthority } from './next-rotation.js';
import type { SigningAuthorities, X509SigningAuthority } from './x509-signing-authority.js';

export interface AuthorityRotationOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly keyManager: KeyManager;
  readonly clock: Clock;
  readonly log: Logger;
  readonly keyType: KeyType;
  /** Life of an authority. */
  readonly ttlSeconds: number;
  readonly subject?: DistinguishedName | undefined;
}

export type RotationListener = (active: X509SigningAuthority) => void;

/** Key IDs of ours; a key of another name is none of our business. */
const KEY_ID_PREFIX = 'x509-ca-';
const NOT_BEFORE_CUSHION_SECONDS = 10;
/** Timers count seconds that pass, not the wall clock, which may be set; look again this often. */
const LONGEST_WAIT_MS = 30_000;
/** From any state two actions lead to `wait`; more would mean that what we wrote is not what we read. */
const MAX_ACTIONS = 4;

export class AuthorityRotation implements SigningAuthorities {
  readonly #options: AuthorityRotationOptions;
  readonly #listeners = new Set<RotationListener>();
  readonly #backoff = new Backoff({ initialMs: 1000, maximumMs: 60_000 });
  #records: readonly X509AuthorityRecord[] = [];
  #signers: ReadonlyMap<string, Signer> = new Map();
  #active: X509SigningAuthority | undefined;
  #activeFrom = new Date(0);
  #timer: Timer | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: AuthorityRotationOptions) {
    this.#options = options;
  }

  /**
   * Takes up where the last run left off, so that an authority is active when this resolves; then rotates until the signal fires.
   * @throws BonafideError when the store or the key manager cannot be used.
   */
  async start(signal: AbortSignal): Promise<void> {
    await this.#load();
    await this.#rotate();
    await this.#deleteForgottenKeys();
    signal.addEventListener('abort', () => this.#timer?.cancel(), { once: true });
    this.#schedule(this.#delayMs(), signal);
  }

  activeX509(): X509SigningAuthority {
    const active = this.#active;
    const now = this.#options.clock.now();
    if (active === undefined) throw new BonafideError('unavailable', 'no signing authority is active yet');
    // After the clock was set: nobody would accept what it signs, and the next one is soon there.
    if (active.notAfter <= now) throw new BonafideError('unavailable', 'the signing authority has expired');
    if (this.#activeFrom > now)
      throw new BonafideError(
        'unavailable',
        'the signing authority is not valid yet: the clock was set back',
      );
    return active;
  }

  /** Called after each change of the active authority, in the order of subscription. @returns the way to stop. */
  onRotation(listener: RotationListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Does now what is due by now. The timer calls it; tests with their own clock may. */
  rotate(): Promise<void> {
    const turn = this.#turn.then(() => this.#rotate());
    this.#turn = turn.catch(() => undefined); // the caller hears of it
    return turn;
  }

  #schedule(delayMs: number, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#timer = this.#options.clock.schedule(delayMs, () => {
      this.rotate().then(
        () => {
          this.#backoff.reset();
          this.#schedule(this.#delayMs(), signal);
        },
        (error: unknown) => {
          const retryMs = this.#backoff.nextDelayMs();
          this.#options.log.error(
            { err: error, retry_ms: Math.round(retryMs) },
            `cannot rotate the signing authority: ${errorMessage(error)}`,
          );
          this.#schedule(retryMs, signal);
        },
      );
    });
  }

  #delayMs(): number {
    const now = this.#options.clock.now();
    const action = nextRotation(this.#state(), now);
    const dueMs = action.kind === 'wait' ? action.until.getTime() - now.getTime() : 0;
    return Math.min(Math.max(dueMs, 100), LONGEST_WAIT_MS);
  }

  async #load(): Promise<void> {
    this.#records = await this.#options.store.authorities.list();
    const signers = new Map<string, Signer>();
    for (const { keyId, slot } of this.#records) {
      const signer = slot === 'old' ? undefined : await this.#options.keyManager.getSigner(keyId);
      if (signer !== undefined) signers.set(keyId, signer);
    }
    this.#signers = signers;
    this.#adoptActive();
  }

  async #rotate(): Promise<void> {
    for (let actions = 0; ; actions += 1) {
      const action = nextRotation(this.#state(), this.#options.clock.now());
      if (action.kind === 'wait') break;
      if (actions === MAX_ACTIONS)
        throw new BonafideError('internal', 'the rotation of the signing authority does not come to rest');
      await (action.kind === 'prepare' ? this.#prepare() : this.#activate());
    }
    await this.#prune();
  }

  #state(): {
    readonly prepared: RotatingAuthority | undefined;
    readonly active: RotatingAuthority | undefined;
  } {
    const find = (slot: 'prepared' | 'active'): RotatingAuthority | undefined => {
      const record = this.#records.find((candidate) => candidate.slot === slot);
      if (record === undefined) return undefined;
      const { notBefore, notAfter, isTainted, keyId } = record;
      return { notBefore, notAfter, isUsable: !isTainted && this.#signers.has(keyId) };
    };
    return { prepared: find('prepared'), active: find('active') };
  }

  /** The key first, then record and bundle in one transaction: whenever we die, what is recorded can sign and is published. */
  async #prepare(): Promise<void> {
    const { trustDomain, keyManager, keyType, ttlSeconds, subject, clock, log } = this.#options;
    const keyId = `${KEY_ID_PREFIX}${randomUUID()}`;
    const signer = await keyManager.generateKey(keyId, keyType);
    const now = dateFromUnixSeconds(unixSeconds(clock.now()));
    const notBefore = addSeconds(now, -NOT_BEFORE_CUSHION_SECONDS);
    const notAfter = addSeconds(now, ttlSeconds);
    const certificate = await createSelfSignedAuthority({
      trustDomain,
      signer,
      notBefore,
      notAfter,
      subject,
    });
    const authorityId = parseX509Certificate(certificate).subjectKeyId ?? keyId;
    const record: X509AuthorityRecord = {
      kind: 'x509',
      authorityId,
      slot: 'prepared',
      keyId,
      certificateChain: [certificate],
      notBefore,
      notAfter,
      isTainted: false,
    };
    // One that was prepared and is of no use never signs, but it was published: validators keep it until it expires, as they do every other.
    const useless = this.#records.filter(({ slot }) => slot === 'prepared');
    await this.#write(async (transaction) => {
      for (const replaced of useless) await transaction.authorities.put({ ...replaced, slot: 'old' });
      await transaction.authorities.put(record);
      await editOwnBundle(transaction, trustDomain, (bundle) =>
        appendToBundle(bundle, { x509Authorities: [{ certificate, isTainted: false }] }),
      );
    });
    this.#signers = new Map([...this.#signers, [keyId, signer]]);
    for (const { keyId: uselessKeyId } of useless) await this.#deleteKey(uselessKeyId);
    log.info({ authority_id: authorityId, expires_at: notAfter.toISOString() }, 'X.509 authority prepared');
  }

  async #activate(): Promise<void> {
    const retired = this.#records.filter(({ slot }) => slot === 'active');
    const next = this.#records.find(({ slot }) => slot === 'prepared');
    if (next === undefined) return;
    await this.#write(async (transaction) => {
      for (const record of retired) await transaction.authorities.put({ ...record, slot: 'old' });
      await transaction.authorities.put({ ...next, slot: 'active' });
    });
    this.#adoptActive();
    // What is signing right now holds the signer itself; nobody else has a use for the key.
    for (const { keyId } of retired) await this.#deleteKey(keyId);
    this.#options.log.info({ authority_id: next.authorityId }, 'X.509 authority activated');
  }

  async #prune(): Promise<void> {
    const { store, trustDomain, clock, log } = this.#options;
    const now = clock.now();
    const past = this.#records.filter((record) => record.slot === 'old' && isPastUse(record, now));
    const bundle = await store.bundles.get(trustDomain);
    if (past.length === 0 && (bundle === undefined || pruneBundle(bundle, now) === bundle)) return;
    await this.#write(async (transaction) => {
      for (const { authorityId } of past) await transaction.authorities.delete(authorityId);
      await editOwnBundle(transaction, trustDomain, (own) => pruneBundle(own, now));
    });
    for (const { authorityId } of past)
      log.info({ authority_id: authorityId }, 'expired X.509 authority removed');
  }

  async #write(work: (transaction: WriteTransaction) => Promise<void>): Promise<void> {
    this.#records = await this.#options.store.write(async (transaction) => {
      await work(transaction);
      return transaction.authorities.list();
    });
  }

  #adoptActive(): void {
    const record = this.#records.find(({ slot }) => slot === 'active');
    const signer = record === undefined ? undefined : this.#signers.get(record.keyId);
    const [certificate, ...intermediates] = record?.certificateChain ?? [];
    if (record === undefined || signer === undefined || certificate === undefined) return;
    const { authorityId, notBefore, notAfter } = record;
    const active: X509SigningAuthority = { authorityId, certificate, intermediates, signer, notAfter };
    this.#active = active;
    this.#activeFrom = notBefore;
    for (const listener of this.#listeners) listener(active);
  }

  /** Keys whose record was never written, or is gone: we died in between. */
  async #deleteForgottenKeys(): Promise<void> {
    const kept = new Set(this.#records.filter(({ slot }) => slot !== 'old').map(({ keyId }) => keyId));
    for (const keyId of await this.#options.keyManager.listKeyIds()) {
      if (keyId.startsWith(KEY_ID_PREFIX) && !kept.has(keyId))
        await this.#options.keyManager.deleteKey(keyId);
    }
  }

  /** A key that stays behind does no harm and is removed at the next start. */
  async #deleteKey(keyId: string): Promise<void> {
    this.#signers = new Map([...this.#signers].filter(([id]) => id !== keyId));
    try {
      await this.#options.keyManager.deleteKey(keyId);
    } catch (error) {
      this.#options.log.warn({ err: error, key_id: keyId }, 'cannot delete a key that is no longer needed');
    }
  }
}
