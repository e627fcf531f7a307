/** One agent of many in a process: follows a server as agents do, with none of what comes after it but the signing of SVIDs. */
import { createHash, type KeyObject } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerChannel, ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { pollEntries } from '@bonafide/agent/sync/poll-entries';
import { watchEntries } from '@bonafide/agent/sync/watch-entries';
import type { AuthorizedChange } from '@bonafide/agent/svid-cache/authorized-change';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { WatchCursor } from '@bonafide/shared/sync/watch-message';
import type { Counters } from './counters.js';
import { HeldSvids } from './held-svids.js';
import { pauseMs } from './pause.js';
import type { Manner } from './simulator-order.js';

/** As SPIRE's agents. */
export const POLL_INTERVAL_MS = 5_000;

interface SimulatedAgentOptions {
  readonly trustDomain: TrustDomain;
  readonly connection: ServerConnection;
  readonly authorities: readonly Buffer[];
  readonly identity: X509Svid;
  readonly privateKey: KeyObject;
  readonly csr: Buffer;
  readonly counters: Counters;
}

export class SimulatedAgent {
  readonly #options: SimulatedAgentOptions;
  readonly #entries = new Map<string, RegistrationEntry>();
  /** When each SPIFFE ID was first seen, in milliseconds since the epoch. */
  readonly #seenAtMs = new Map<SpiffeId, number>();
  readonly #svids: HeldSvids;
  #cursor: WatchCursor | undefined;
  #life: AbortController | undefined;

  constructor(options: SimulatedAgentOptions) {
    this.#options = options;
    this.#svids = new HeldSvids(options);
    options.connection.trust(options.authorities);
    options.connection.identify(options.identity);
  }

  get isFollowing(): boolean {
    return this.#life !== undefined;
  }

  get svids(): HeldSvids {
    return this.#svids;
  }

  seenAtMs(spiffeId: SpiffeId): number | undefined {
    return this.#seenAtMs.get(spiffeId);
  }

  /** Equal for agents that hold the same, apart from what is theirs alone. */
  holdings(): string {
    const own = this.#options.identity.spiffeId;
    return digestOf(
      [...this.#entries.values()].filter(({ parentId }) => parentId !== own).map(({ id }) => id),
    );
  }

  /** Resolves when the agent has what is its own, for the first time since now. */
  async follow(manner: Manner, isFresh: boolean, afterMs: number): Promise<void> {
    this.stop();
    if (isFresh) {
      this.#cursor = undefined;
      this.#entries.clear();
    }
    const life = new AbortController();
    this.#life = life;
    await sleep(afterMs);
    await new Promise<void>((resolve) => {
      void this.#live(manner, resolve, life.signal);
    });
  }

  stop(): void {
    this.#life?.abort();
    this.#life = undefined;
    this.#options.connection.close();
  }

  /** Has an SVID signed for every entry, and from now on for each that comes or whose authority is tainted. */
  async sign(): Promise<void> {
    await this.#svids.keepCurrent([...this.#entries.keys()]);
  }

  async #live(manner: Manner, caughtUp: () => void, signal: AbortSignal): Promise<void> {
    const { connection, counters } = this.#options;
    for (let failures = 0; !isAborted(signal);) {
      const channel = connection.channel();
      const applied = (change: AuthorizedChange): void => {
        failures = 0;
        this.#apply(change);
        caughtUp();
      };
      try {
        if (manner === 'poll') await this.#poll(applied, signal);
        else await this.#watch(channel, applied, signal);
      } catch (error) {
        if (isAborted(signal)) return;
        counters.failed(error);
        connection.discard(connection.channel());
        const delayMs = manner === 'poll' ? POLL_INTERVAL_MS : pauseMs(failures, error);
        await sleep(delayMs, undefined, { signal }).catch(() => undefined); // the loop sees that it is over
        failures += 1;
      }
    }
  }

  async #watch(
    channel: ServerChannel,
    applied: (change: AuthorizedChange) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const isOver = AbortSignal.any([signal, channel.superseded]);
    try {
      await watchEntries({
        channel,
        cursor: this.#cursor,
        agentVersion: '',
        signal: isOver,
        apply: (change, cursor) => {
          this.#cursor = cursor;
          this.#options.counters.applied(change.kind);
          applied(change);
        },
      });
    } catch (error) {
      if (!channel.superseded.aborted || signal.aborted) throw error;
      return; // at once again, as somebody with a newer SVID
    }
    throw new Error('the server ended the stream');
  }

  async #poll(applied: (change: AuthorizedChange) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const known = (id: string): RegistrationEntry | undefined => this.#entries.get(id);
      const channel = this.#options.connection.channel();
      const snapshot = await pollEntries({ channel, known, log: silentLogger, signal });
      this.#options.counters.polls += 1;
      applied(snapshot);
      await sleep(POLL_INTERVAL_MS, undefined, { signal }).catch(() => undefined); // the loop sees that it is over
    }
  }

  #apply(change: AuthorizedChange): void {
    const isWhole = change.kind === 'snapshot';
    const entries = isWhole ? change.entries : change.upsertedEntries;
    const bundles = isWhole ? change.bundles : change.upsertedBundles;
    const atMs = performance.timeOrigin + performance.now();
    if (isWhole) this.#entries.clear();
    else for (const id of change.removedEntryIds) this.#entries.delete(id);
    for (const entry of entries) {
      this.#entries.set(entry.id, entry);
      if (!this.#seenAtMs.has(entry.spiffeId)) this.#seenAtMs.set(entry.spiffeId, atMs);
    }
    const own = bundles.find(({ trustDomain }) => trustDomain === this.#options.trustDomain);
    const isOtherTrust = own !== undefined && this.#svids.trust(own);
    if (isOtherTrust) {
      const authorities = own.x509Authorities.map(({ certificate }) => certificate);
      this.#options.connection.trust(authorities);
    }
    this.#svids.entriesChanged([...this.#entries.keys()]);
  }
}

/** @param ids of entries. */
export function digestOf(ids: readonly string[]): string {
  return createHash('sha256')
    .update([...ids].sort().join())
    .digest('hex')
    .slice(0, 16);
}
