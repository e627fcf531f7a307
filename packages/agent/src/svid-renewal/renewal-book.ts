/** What is known of each entry for which an SVID is kept: what it must say, what is held, when that is renewed or tried again, and when it ends. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { BackoffOptions } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { DueQueue } from './due-queue.js';
import { ExpiryWatch } from './expiry-watch.js';
import { Setbacks } from './setbacks.js';
import { SigningQueue, type NextBatch } from './signing-queue.js';
import type { SvidKind } from './svid-kind.js';

/** How it stands with the SVID of one entry. */
export interface RenewalProgress {
  /** One is being obtained, or is the next to be. */
  readonly isQueued: boolean;
  /** When one is obtained again. */
  readonly nextAttempt: Date | undefined;
  /** The last one ended before it was replaced. */
  readonly hasLapsed: boolean;
  /** Why the last attempt failed; undefined: it did not. */
  readonly problem: string | undefined;
}

interface RenewalBookOptions<Svid> {
  readonly kind: Pick<SvidKind<Svid>, 'contentKey' | 'holder' | 'validityOf'>;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
}

interface Wanted {
  readonly entry: RegistrationEntry;
  readonly contentKey: string;
}

type Retry = Omit<BackoffOptions, 'random'>;

const ENDED = { notBefore: new Date(0), notAfter: new Date(0) };

export class RenewalBook<Svid extends { readonly spiffeId: SpiffeId }> {
  readonly #kind: RenewalBookOptions<Svid>['kind'];
  readonly #wanted = new Map<string, Wanted>();
  /** Issued content of each SVID that is held. */
  readonly #held = new Map<string, string>();
  /** Entries whose SVID ended before it was replaced. */
  readonly #lapsed = new Set<string>();
  readonly #queue = new SigningQueue();
  readonly #due = new DueQueue();
  readonly #expiring: ExpiryWatch;
  readonly #setbacks: Setbacks;

  constructor({ clock, kind, random }: RenewalBookOptions<Svid>) {
    this.#kind = kind;
    this.#expiring = new ExpiryWatch(clock);
    this.#setbacks = new Setbacks(random);
  }

  /** Undefined: no SVID is wanted for it (any more). */
  wanted(entryId: string): Wanted | undefined {
    return this.#wanted.get(entryId);
  }

  /** Of entries for which nothing is held. */
  missing(): readonly string[] {
    return [...this.#wanted.keys()].filter((id) => !this.#held.has(id));
  }

  /** How many entries wait for the next batches. */
  get queued(): number {
    return this.#queue.size;
  }

  /** When the next SVID is to be renewed, or tried again. */
  nextDue(): Date | undefined {
    return this.#due.next();
  }

  progress(entryId: string): RenewalProgress | undefined {
    if (!this.#wanted.has(entryId)) return undefined;
    return {
      isQueued: this.#queue.has(entryId),
      nextAttempt: this.#due.at(entryId),
      hasLapsed: this.#lapsed.has(entryId),
      problem: this.#setbacks.cause(entryId),
    };
  }

  /** @returns whether an SVID has to be obtained for it, which is then queued. */
  want(entry: RegistrationEntry): boolean {
    const contentKey = this.#kind.contentKey(entry);
    this.#wanted.set(entry.id, { entry, contentKey });
    if (this.#held.get(entry.id) === contentKey) return false;
    this.enqueue(entry.id);
    return true;
  }

  /** Forgets all about it. */
  drop(entryId: string): void {
    this.#wanted.delete(entryId);
    this.takeOut(entryId);
    this.#queue.delete(entryId);
    this.#lapsed.delete(entryId);
    this.#setbacks.delete(entryId);
  }

  /** An SVID of an earlier run. */
  restore(entryId: string, contentKey: string, svid: Svid, renewAt: Date): void {
    this.#held.set(entryId, contentKey);
    this.#schedule(entryId, svid, renewAt);
  }

  /** The SVID that was waited for. */
  keep(entryId: string, contentKey: string, svid: Svid, renewAt: Date): void {
    this.#held.set(entryId, contentKey);
    this.#queue.delete(entryId);
    this.#lapsed.delete(entryId);
    this.#schedule(entryId, svid, renewAt);
  }

  /** The last answer was good. */
  forgive(entryId: string): void {
    this.#setbacks.delete(entryId);
  }

  /** When it is tried again after an answer that was not good. */
  retryAt(entryId: string, retry: Retry, now: Date): Date {
    return this.#setbacks.nextAttempt(entryId, retry, now);
  }

  remember(entryId: string, problem: string): void {
    if (this.#wanted.has(entryId)) this.#setbacks.remember(entryId, problem);
  }

  postpone(entryId: string, until: Date): void {
    this.#due.set(entryId, until);
  }

  /** What is held is out of use, and what is planned for the entry stays. */
  withdraw(entryId: string): void {
    this.#held.delete(entryId);
    this.#expiring.delete(entryId);
  }

  takeOut(entryId: string): void {
    this.withdraw(entryId);
    this.#due.delete(entryId);
  }

  /** It has ended before it was replaced, which is now urgent. */
  lapse(entryId: string): void {
    this.takeOut(entryId);
    this.#lapsed.add(entryId);
    this.enqueue(entryId);
  }

  enqueue(entryId: string): void {
    if (!this.#wanted.has(entryId)) return;
    const kind = this.#kind;
    const svid = this.#held.has(entryId) ? kind.holder.svid(entryId) : undefined;
    if (svid !== undefined) this.#queue.addRenewal(entryId, kind.validityOf(svid));
    else if (this.#lapsed.has(entryId)) this.#queue.addRenewal(entryId, ENDED);
    else this.#queue.addFresh(entryId);
  }

  enqueueDue(until: Date): void {
    for (const id of this.#due.take(until)) this.enqueue(id);
  }

  takeBatch(limit: number, now: Date): NextBatch {
    return this.#queue.take(limit, now);
  }

  bringForward(ms: number): void {
    this.#due.bringForward(ms);
  }

  /** Tells of what has ended until the signal fires. */
  watchExpiry(onExpired: (entryIds: readonly string[]) => void, signal: AbortSignal): Promise<void> {
    return this.#expiring.run(onExpired, signal);
  }

  #schedule(entryId: string, svid: Svid, renewAt: Date): void {
    this.#due.set(entryId, renewAt);
    this.#expiring.set(entryId, this.#kind.validityOf(svid).notAfter);
  }
}
