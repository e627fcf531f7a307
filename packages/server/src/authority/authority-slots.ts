/** The authorities of one kind and their slots: prepared, active and old ones, moved and withdrawn one transaction at a time. */
import { randomBytes } from 'node:crypto';
import { addSeconds, dateFromUnixSeconds, unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AuthorityRecord, AuthoritySlot } from '../store/authority-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import { appendToBundle, emptyBundle, endOfUse } from '../trust-bundle/merge-bundle.js';
import { editOwnBundle } from '../trust-bundle/own-bundle.js';
import { checkActive, isValid, type ActiveAuthority } from './active-authority.js';
import { AuthorityKeys } from './authority-keys.js';
import type { AuthorityMaker } from './authority-maker.js';
import type { KeyManager } from './key-manager.js';
import type { RotatingAuthority, RotationState } from './next-rotation.js';
import { isMissing, putBack, retire } from './put-back-authorities.js';
import { AuthorityPruning } from './prune-authorities.js';

export interface AuthoritySlotsOptions<Authority extends AuthorityRecord> {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly keyManager: KeyManager;
  readonly clock: Clock;
  readonly log: Logger;
  readonly maker: AuthorityMaker<Authority>;
  /** Life of an authority. */
  readonly ttlSeconds: number;
  /** Called after each change of the active authority, and after ours were tainted because what they stand under was. */
  readonly onActivation: () => void;
}

/** What SPIRE's log calls an authority that begins and stops to sign. */
const LOGGED_WORDS = { x509: 'X509 CA', jwt: 'JWT key', wit: 'WIT key' } as const;

const NOT_BEFORE_CUSHION_SECONDS = 10;
/** 32 characters of base64url. */
const NAME_BYTES = 24;

/** Not to be used by two callers at once: whoever holds it gives its callers turns. */
export class AuthoritySlots<Authority extends AuthorityRecord> {
  readonly #options: AuthoritySlotsOptions<Authority>;
  readonly #keys: AuthorityKeys;
  readonly #pruning: AuthorityPruning;
  #records: readonly Authority[] = [];
  #active: ActiveAuthority<Authority> | undefined;
  /** Of the database when it was read last; and the newest one that may have changed something that we read. */
  #readRevision = 0;
  #heardRevision = 0;

  constructor(options: AuthoritySlotsOptions<Authority>) {
    this.#options = options;
    const { keyManager, log, maker } = options;
    const { keyIdPrefix, keyType } = maker;
    this.#pruning = new AuthorityPruning(options);
    this.#keys = new AuthorityKeys({ keyManager, keyIdPrefix, keyType, log });
  }

  /** What the last run left behind. @throws BonafideError when the store or the key manager cannot be used. */
  async load(): Promise<void> {
    const { store } = this.#options;
    this.#readRevision = await store.currentRevision();
    this.#records = this.#ours(await store.authorities.list());
    await this.#keys.load(this.#records.filter(({ slot }) => slot !== 'old').map(({ keyId }) => keyId));
    this.#findActive();
  }

  /** Of what is active, prepared or old; the newest last. */
  in(slot: AuthoritySlot): readonly Authority[] {
    return this.#records.filter((record) => record.slot === slot);
  }

  /** @throws BonafideError `unavailable` when none is active yet, or nobody would accept what it signs. */
  active(): ActiveAuthority<Authority> {
    const { clock, maker } = this.#options;
    return checkActive(this.#active, clock.now(), maker.words);
  }

  canSign(): boolean {
    return isValid(this.#active?.record, this.#options.clock.now());
  }

  rotationState(): RotationState {
    const find = (slot: AuthoritySlot): RotatingAuthority | undefined => {
      const record = this.#records.find((candidate) => candidate.slot === slot);
      if (record === undefined) return undefined;
      const { notBefore, notAfter, isTainted, keyId } = record;
      return { notBefore, notAfter, isUsable: !isTainted && this.#keys.has(keyId) };
    };
    return { prepared: find('prepared'), active: find('active') };
  }

  /** The key first, then record and bundle in one transaction: whenever we die, what is recorded can sign and is published. @returns the revision. */
  async prepare(signal: AbortSignal): Promise<number> {
    const { trustDomain, store, maker, ttlSeconds, clock, log } = this.#options;
    const name = randomBytes(NAME_BYTES).toString('base64url');
    const keyId = `${maker.keyIdPrefix}${name}`;
    const signer = await this.#keys.generate(keyId);
    const now = dateFromUnixSeconds(unixSeconds(clock.now()));
    const request = {
      ...{ name, serverId: store.serverId, keyId, signer },
      notBefore: addSeconds(now, -NOT_BEFORE_CUSHION_SECONDS),
      notAfter: addSeconds(now, ttlSeconds),
    };
    // One that was prepared and is of no use never signs, but it was published: validators keep it until it expires, as they do every other.
    const replaced = this.in('prepared');
    let made;
    let revision;
    try {
      made = await maker.make(request, signal);
      const { record, additions } = made;
      revision = await this.write(async (transaction) => {
        await retire(transaction, replaced);
        await transaction.authorities.put(record);
        await editOwnBundle(transaction, trustDomain, (bundle) => appendToBundle(bundle, additions));
      });
    } catch (error) {
      await this.#keys.delete(keyId);
      throw error;
    }
    for (const { keyId: replacedKeyId } of replaced) await this.#keys.delete(replacedKeyId);
    const { authorityId, notAfter } = made.record;
    log.info(
      { local_authority_id: authorityId, expires_at: notAfter.toISOString() },
      `${LOGGED_WORDS[maker.kind]} prepared`,
    );
    return revision;
  }

  /** The prepared authority signs from now on; the active one becomes old. Does nothing when none is prepared. @returns the revision. */
  async activate(): Promise<number | undefined> {
    const retired = this.in('active');
    const [next] = this.in('prepared');
    if (next === undefined) return undefined;
    const revision = await this.write(async (transaction) => {
      await retire(transaction, retired);
      await transaction.authorities.put({ ...next, slot: 'active' });
    });
    this.#findActive();
    this.#options.onActivation();
    // What is signing right now holds the signer itself; nobody else has a use for the key.
    for (const { keyId } of retired) await this.#keys.delete(keyId);
    const { log, maker } = this.#options;
    const fields = { local_authority_id: next.authorityId };
    log.info(fields, `${LOGGED_WORDS[maker.kind]} activated`);
    if (maker.kind === 'x509') log.debug(fields, 'Successfully rotated X.509 CA');
    return revision;
  }

  /** An old authority: what it signed is to be replaced. @returns the revision. @throws BonafideError when it is tainted already. */
  async taint(record: Authority): Promise<number> {
    const { trustDomain, maker, log } = this.#options;
    const revision = await this.write(async (transaction) => {
      await transaction.authorities.put({ ...record, isTainted: true });
      await editOwnBundle(transaction, trustDomain, (bundle) => maker.taint(bundle, record.authorityId));
    });
    log.warn({ local_authority_id: record.authorityId }, `${maker.words} tainted successfully`);
    return revision;
  }

  /** An old authority, or one of the bundle that is not ours: what it signed is accepted no more. @returns the revision. @throws BonafideError unless it is tainted. */
  async revoke(authorityId: string): Promise<number> {
    const { trustDomain, maker, log } = this.#options;
    const revision = await this.write(async (transaction) => {
      await editOwnBundle(transaction, trustDomain, (bundle) => maker.revoke(bundle, authorityId));
      const record = (await transaction.authorities.list()).find((of) => of.authorityId === authorityId);
      await transaction.authorities.addRevoked(authorityId, record && endOfUse(record));
      if (record !== undefined) await transaction.authorities.delete(authorityId);
    });
    log.warn({ local_authority_id: authorityId }, `${maker.words} revoked successfully`);
    return revision;
  }

  /** What is past its use, of other servers too. */
  prune(): Promise<void> {
    return this.#pruning.prune(this.in('old'), async (work) => {
      await this.write(work);
    });
  }

  /** Somebody has written records or the bundle, perhaps another server. */
  outdate(revision: number): void {
    this.#heardRevision = Math.max(this.#heardRevision, revision);
  }

  /** The database is not the one that we read: it may even count fewer revisions. */
  outdateEverything(revision: number): void {
    this.#readRevision = -1;
    this.#heardRevision = revision;
  }

  /** Takes over what other servers did; what we sign with is ours to say, and is put back where it is missing. */
  async catchUp(): Promise<void> {
    const heardRevision = this.#heardRevision;
    if (heardRevision <= this.#readRevision) return;
    const { trustDomain, store, maker, log, onActivation } = this.#options;
    const records = this.#ours(await store.authorities.list());
    const bundle = (await store.bundles.get(trustDomain)) ?? emptyBundle(trustDomain);
    const signing = this.#signing();
    if (isMissing(signing, records, bundle, maker)) {
      await this.write((transaction) =>
        putBack(transaction, { signing, ours: (all) => this.#ours(all), trustDomain, maker }),
      );
      const why = 'was an old copy of it restored, or is the clock of another server ahead?';
      log.error(
        idsOf(signing),
        `the database had lost the ${maker.words} that signs, it was put back: ${why}`,
      );
    } else this.#records = records;
    const activeBefore = this.#active?.record.authorityId;
    this.#findActive();
    const withdrawn = this.#records.filter(
      (record) => !record.isTainted && maker.isWithdrawn(bundle, record),
    );
    if (withdrawn.length > 0) {
      await this.write(async ({ authorities }) => {
        for (const record of withdrawn) await authorities.put({ ...record, isTainted: true });
      });
      log.warn(
        idsOf(withdrawn),
        'Current root CA is signed by a tainted upstream authority, preparing rotation',
      );
    }
    this.#readRevision = Math.max(this.#readRevision, heardRevision);
    // Another one is active when a connection broke while our own activation was committed.
    if (withdrawn.length > 0 || this.#active?.record.authorityId !== activeBefore) onActivation();
  }

  /** Of authorities that were never written, or are gone. */
  deleteForgottenKeys(): Promise<void> {
    const kept = this.#records.filter(({ slot }) => slot !== 'old').map(({ keyId }) => keyId);
    return this.#keys.deleteAllBut(new Set(kept));
  }

  /** Changes the bundle, and records of ours with it. @param work reads what is there by the transaction. @returns the revision. */
  async write(work: (transaction: WriteTransaction) => Promise<void>): Promise<number> {
    const { revision, records } = await this.#options.store.write(async (transaction) => {
      await work(transaction);
      return { revision: transaction.revision, records: await transaction.authorities.list() };
    });
    this.#readRevision = Math.max(this.#readRevision, revision);
    this.#records = this.#ours(records);
    return revision;
  }

  #ours(records: readonly AuthorityRecord[]): readonly Authority[] {
    const { maker, store } = this.#options;
    const ours = records.filter(({ serverId }) => serverId === store.serverId);
    return ours.filter((record): record is Authority => maker.owns(record));
  }

  /** What signs and what will sign, as far as we have the keys. */
  #signing(): readonly Authority[] {
    const now = this.#options.clock.now();
    return this.#records.filter(
      ({ slot, keyId, notAfter }) => slot !== 'old' && this.#keys.has(keyId) && now < notAfter,
    );
  }

  #findActive(): void {
    const [record] = this.in('active');
    if (record !== undefined && record.authorityId === this.#active?.record.authorityId) return;
    const signer = record === undefined ? undefined : this.#keys.get(record.keyId);
    if (record !== undefined && signer !== undefined) this.#active = { record, signer };
  }
}

function idsOf(records: readonly AuthorityRecord[]): { readonly authority_ids: readonly string[] } {
  return { authority_ids: records.map(({ authorityId }) => authorityId) };
}
