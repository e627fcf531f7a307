/** The authorities of one kind and their slots: prepared, active and old ones, moved and withdrawn one transaction at a time. */
import { randomBytes } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, dateFromUnixSeconds, unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AuthorityRecord, AuthoritySlot } from '../store/authority-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import { appendToBundle, isPastUse, pruneBundle } from '../trust-bundle/merge-bundle.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';
import type { AuthorityMaker } from './authority-maker.js';
import type { KeyManager, Signer } from './key-manager.js';
import type { RotatingAuthority, RotationState } from './next-rotation.js';

export interface AuthoritySlotsOptions<Authority extends AuthorityRecord> {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly keyManager: KeyManager;
  readonly clock: Clock;
  readonly log: Logger;
  readonly maker: AuthorityMaker<Authority>;
  /** Life of an authority. */
  readonly ttlSeconds: number;
  /** Called after each change of the active authority. */
  readonly onActivation: () => void;
}

/** The authority that signs now, and its key. */
export interface ActiveAuthority<Authority extends AuthorityRecord> {
  readonly record: Authority;
  readonly signer: Signer;
}

const NOT_BEFORE_CUSHION_SECONDS = 10;
/** How often the bundle is looked through for what is not ours and has expired. */
const PRUNING_INTERVAL_MS = 10 * 60_000;
/** 32 characters of base64url. */
const NAME_BYTES = 24;

/** Not to be used by two callers at once: whoever holds it gives its callers turns. */
export class AuthoritySlots<Authority extends AuthorityRecord> {
  readonly #options: AuthoritySlotsOptions<Authority>;
  #records: readonly Authority[] = [];
  #signers: ReadonlyMap<string, Signer> = new Map();
  #active: ActiveAuthority<Authority> | undefined;
  #prunedAt = new Date(0);

  constructor(options: AuthoritySlotsOptions<Authority>) {
    this.#options = options;
  }

  /** What the last run left behind. @throws BonafideError when the store or the key manager cannot be used. */
  async load(): Promise<void> {
    this.#adopt(await this.#options.store.authorities.list());
    const signers = new Map<string, Signer>();
    for (const { keyId, slot } of this.#records) {
      const signer = slot === 'old' ? undefined : await this.#options.keyManager.getSigner(keyId);
      if (signer !== undefined) signers.set(keyId, signer);
    }
    this.#signers = signers;
    this.#findActive();
  }

  /** Of what is active, prepared or old; the newest last. */
  in(slot: AuthoritySlot): readonly Authority[] {
    return this.#records.filter((record) => record.slot === slot);
  }

  /** @throws BonafideError `unavailable` when none is active yet, or nobody would accept what it signs. */
  active(): ActiveAuthority<Authority> {
    const { clock, maker } = this.#options;
    const active = this.#active;
    const now = clock.now();
    if (active === undefined) throw new BonafideError('unavailable', `no ${maker.words} is active yet`);
    // After the clock was set: nobody would accept what it signs, and the next one is soon there.
    if (active.record.notAfter <= now) {
      throw new BonafideError('unavailable', `the ${maker.words} has expired`);
    }
    if (active.record.notBefore > now) {
      throw new BonafideError('unavailable', `the ${maker.words} is not valid yet: the clock was set back`);
    }
    return active;
  }

  canSign(): boolean {
    const now = this.#options.clock.now();
    const record = this.#active?.record;
    return record !== undefined && record.notBefore <= now && now < record.notAfter;
  }

  rotationState(): RotationState {
    const find = (slot: AuthoritySlot): RotatingAuthority | undefined => {
      const record = this.#records.find((candidate) => candidate.slot === slot);
      if (record === undefined) return undefined;
      const { notBefore, notAfter, isTainted, keyId } = record;
      return { notBefore, notAfter, isUsable: !isTainted && this.#signers.has(keyId) };
    };
    return { prepared: find('prepared'), active: find('active') };
  }

  /** The key first, then record and bundle in one transaction: whenever we die, what is recorded can sign and is published. */
  async prepare(signal: AbortSignal): Promise<void> {
    const { trustDomain, store, keyManager, maker, ttlSeconds, clock, log } = this.#options;
    const name = randomBytes(NAME_BYTES).toString('base64url');
    const keyId = `${maker.keyIdPrefix}${name}`;
    const signer = await keyManager.generateKey(keyId, maker.keyType);
    const now = dateFromUnixSeconds(unixSeconds(clock.now()));
    const request = {
      ...{ name, serverId: store.serverId, keyId, signer },
      notBefore: addSeconds(now, -NOT_BEFORE_CUSHION_SECONDS),
      notAfter: addSeconds(now, ttlSeconds),
    };
    // One that was prepared and is of no use never signs, but it was published: validators keep it until it expires, as they do every other.
    const replaced = this.in('prepared');
    let made;
    try {
      made = await maker.make(request, signal);
      const { record, additions } = made;
      await this.write(async (transaction) => {
        await retire(transaction, replaced);
        await transaction.authorities.put(record);
        await editOwnBundle(transaction, trustDomain, (bundle) => appendToBundle(bundle, additions));
      });
    } catch (error) {
      await this.#deleteKey(keyId);
      throw error;
    }
    this.#signers = new Map([...this.#signers, [keyId, signer]]);
    for (const { keyId: replacedKeyId } of replaced) await this.#deleteKey(replacedKeyId);
    const { authorityId, notAfter } = made.record;
    log.info({ authority_id: authorityId, expires_at: notAfter.toISOString() }, `${maker.words} prepared`);
  }

  /** The prepared authority signs from now on; the active one becomes old. Does nothing when none is prepared. */
  async activate(): Promise<void> {
    const retired = this.in('active');
    const [next] = this.in('prepared');
    if (next === undefined) return;
    await this.write(async (transaction) => {
      await retire(transaction, retired);
      await transaction.authorities.put({ ...next, slot: 'active' });
    });
    this.#findActive();
    this.#options.onActivation();
    // What is signing right now holds the signer itself; nobody else has a use for the key.
    for (const { keyId } of retired) await this.#deleteKey(keyId);
    const { log, maker } = this.#options;
    log.info({ authority_id: next.authorityId }, `${maker.words} activated`);
  }

  /** An old authority: what it signed is to be replaced. @throws BonafideError when it is tainted already. */
  async taint(record: Authority): Promise<void> {
    const { trustDomain, maker, log } = this.#options;
    await this.write(async (transaction) => {
      await transaction.authorities.put({ ...record, isTainted: true });
      await editOwnBundle(transaction, trustDomain, (bundle) => maker.taint(bundle, record.authorityId));
    });
    log.warn({ authority_id: record.authorityId }, `${maker.words} tainted`);
  }

  /** An old authority, or one of the bundle that is not ours: what it signed is accepted no more. @throws BonafideError unless it is tainted. */
  async revoke(authorityId: string): Promise<void> {
    const { trustDomain, maker, log } = this.#options;
    await this.write(async (transaction) => {
      await editOwnBundle(transaction, trustDomain, (bundle) => maker.revoke(bundle, authorityId));
      await transaction.authorities.addRevoked(authorityId);
      const isOurs = this.in('old').some((record) => record.authorityId === authorityId);
      if (isOurs) await transaction.authorities.delete(authorityId);
    });
    log.warn({ authority_id: authorityId }, `${maker.words} revoked`);
  }

  async prune(): Promise<void> {
    const { store, trustDomain, clock, log, maker } = this.#options;
    const now = clock.now();
    const past = this.in('old').filter((record) => isPastUse(record, now));
    if (past.length === 0 && Math.abs(now.getTime() - this.#prunedAt.getTime()) < PRUNING_INTERVAL_MS) return;
    this.#prunedAt = now;
    const bundle = await store.bundles.get(trustDomain);
    if (past.length === 0 && (bundle === undefined || pruneBundle(bundle, now) === bundle)) return;
    await this.write(async (transaction) => {
      for (const { authorityId } of past) await transaction.authorities.delete(authorityId);
      const pastIds = past.map(({ authorityId }) => authorityId);
      await editOwnBundle(transaction, trustDomain, (own) => pruneBundle(own, now, pastIds));
    });
    for (const { authorityId } of past)
      log.info({ authority_id: authorityId }, `expired ${maker.words} removed`);
  }

  /** Keys whose record was never written, or is gone: we died in between. */
  async deleteForgottenKeys(): Promise<void> {
    const { keyManager, maker } = this.#options;
    const kept = new Set(this.#records.filter(({ slot }) => slot !== 'old').map(({ keyId }) => keyId));
    for (const keyId of await keyManager.listKeyIds()) {
      if (keyId.startsWith(maker.keyIdPrefix) && !kept.has(keyId)) await keyManager.deleteKey(keyId);
    }
  }

  /** Changes the bundle, and records of ours with it. @param work reads what is there by the transaction. */
  async write(work: (transaction: WriteTransaction) => Promise<void>): Promise<void> {
    const records = await this.#options.store.write(async (transaction) => {
      await work(transaction);
      return transaction.authorities.list();
    });
    this.#adopt(records);
  }

  #adopt(records: readonly AuthorityRecord[]): void {
    const { maker, store } = this.#options;
    const ours = records.filter(({ serverId }) => serverId === store.serverId);
    this.#records = ours.filter((record): record is Authority => maker.owns(record));
  }

  #findActive(): void {
    const [record] = this.in('active');
    const signer = record === undefined ? undefined : this.#signers.get(record.keyId);
    if (record !== undefined && signer !== undefined) this.#active = { record, signer };
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

async function retire(transaction: WriteTransaction, records: readonly AuthorityRecord[]): Promise<void> {
  for (const record of records) await transaction.authorities.put({ ...record, slot: 'old' });
}
