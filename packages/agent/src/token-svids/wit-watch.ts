/** What one stream shows of the WIT-SVIDs: those of the entries it is told to, all of them at each change. */
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';

export interface WatchedEntry {
  entry: RegistrationEntry;
  svid: WitSvid | undefined;
  /** An attempt to obtain one has ended, well or badly. */
  isSettled: boolean;
  readonly watches: Set<WitWatch>;
}

export interface WitIdentity {
  readonly entry: RegistrationEntry;
  readonly svid: WitSvid;
}

export interface WitListener {
  /** Never called before an attempt was made for each entry and one of them has an SVID. */
  update(identities: readonly WitIdentity[]): void;
  /** There will be no WIT-SVIDs. */
  fail(error: BonafideError): void;
}

interface WitSource {
  now(): Date;
  /** The entry is to have a WIT-SVID from now on. */
  add(entry: RegistrationEntry, watch: WitWatch): WatchedEntry;
  remove(entryId: string, watch: WitWatch): void;
}

export class WitWatch {
  readonly #listener: WitListener;
  readonly #source: WitSource;
  #entries: readonly WatchedEntry[] = [];
  #told: readonly WitIdentity[] | undefined;

  constructor(listener: WitListener, source: WitSource) {
    this.#listener = listener;
    this.#source = source;
  }

  /** Replaces the entries that are watched. */
  set(entries: readonly RegistrationEntry[]): void {
    const former = this.#entries;
    this.#entries = entries.map((entry) => this.#source.add(entry, this));
    const ids = new Set(entries.map(({ id }) => id));
    for (const { entry } of former) if (!ids.has(entry.id)) this.#source.remove(entry.id, this);
    this.refresh();
  }

  close(): void {
    const former = this.#entries;
    this.#entries = [];
    for (const { entry } of former) this.#source.remove(entry.id, this);
  }

  /** Looks again; tells the listener if that differs from what it was told. */
  refresh(): void {
    if (this.#entries.length === 0) return;
    const now = this.#source.now();
    const identities = this.#entries.flatMap(({ entry, svid }) =>
      svid?.spiffeId === entry.spiffeId && svid.expiresAt > now ? [{ entry, svid }] : [],
    );
    const isWaiting = identities.length === 0 || this.#entries.some(({ isSettled }) => !isSettled);
    if (this.#told === undefined && isWaiting) return;
    if (this.#told !== undefined && isSame(this.#told, identities)) return;
    this.#told = identities;
    this.#listener.update(identities);
  }

  fail(error: BonafideError): void {
    this.#listener.fail(error);
  }
}

function isSame(a: readonly WitIdentity[], b: readonly WitIdentity[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ entry, svid }, index) => entry === b[index]?.entry && svid === b[index].svid)
  );
}
