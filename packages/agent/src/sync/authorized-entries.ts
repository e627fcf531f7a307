/** What the server says goes in here: into the cache, onto the disk, and to those who follow the trust domain's own bundle. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WatchCursor } from '@bonafide/shared/sync/watch-message';
import type { AuthorizedChange } from '../svid-cache/authorized-change.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { AuthorizedState, StateFile } from './state-file.js';

interface AuthorizedEntriesOptions {
  readonly cache: SvidCache;
  readonly trustDomain: TrustDomain;
  /** Undefined: nothing outlives the process. */
  readonly file: StateFile | undefined;
  /** As whom the agent is known to the server now. */
  readonly agentId: () => SpiffeId | undefined;
  /** Called when the trust domain's own bundle has changed. */
  readonly onOwnBundle: (before: TrustBundle | undefined, after: TrustBundle) => void;
  readonly log: Logger;
}

export class AuthorizedEntries {
  readonly #options: AuthorizedEntriesOptions;
  #agentId: SpiffeId | undefined;
  #cursor: WatchCursor | undefined;

  constructor(options: AuthorizedEntriesOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier run was told. @returns false when there is nothing that is still ours. */
  async restore(): Promise<boolean> {
    const { agentId, cache, file, log, trustDomain } = this.#options;
    const stored = await file?.load();
    if (stored === undefined) return false;
    const present = agentId();
    if (present !== undefined && present !== stored.agentId) {
      log.info({ agentId: stored.agentId }, 'ignoring the stored entries, which are of another agent');
      return false;
    }
    if (!stored.bundles.some((bundle) => bundle.trustDomain === trustDomain)) return false;
    cache.apply({ kind: 'snapshot', entries: stored.entries, bundles: stored.bundles });
    this.#agentId = stored.agentId;
    this.#cursor = stored.cursor;
    log.info({ entries: stored.entries.length, revision: stored.cursor?.revision }, 'stored entries loaded');
    return true;
  }

  /** Where to go on; undefined: from the start. */
  cursor(): WatchCursor | undefined {
    return this.#agentId === this.#options.agentId() ? this.#cursor : undefined;
  }

  /** @param cursor undefined when the server has no log. */
  apply(change: AuthorizedChange, cursor: WatchCursor | undefined): void {
    const { agentId, cache, file, log, onOwnBundle, trustDomain } = this.#options;
    const before = cache.bundle(trustDomain);
    cache.apply(change);
    log.debug(
      { kind: change.kind, revision: cursor?.revision, entries: cache.entryCount },
      'took in a change',
    );
    const present = agentId();
    this.#agentId = present;
    this.#cursor = cursor;
    const after = cache.bundle(trustDomain);
    if (after !== undefined && after !== before) onOwnBundle(before, after);
    if (present !== undefined) file?.save(() => this.#state(present));
  }

  /** Takes every entry from the workloads, here and in the next run, until the server tells everything anew. */
  withdraw(): void {
    const { agentId, cache, file, log } = this.#options;
    const holder = agentId() ?? this.#agentId;
    log.debug({ entries: cache.entryCount }, 'withdrawing the entries');
    cache.apply({ kind: 'snapshot', entries: [], bundles: cache.bundles() });
    this.#cursor = undefined;
    if (holder !== undefined) file?.save(() => this.#state(holder));
  }

  #state(agentId: SpiffeId): AuthorizedState {
    const { cache } = this.#options;
    return { agentId, cursor: this.#cursor, entries: cache.entries(), bundles: cache.bundles() };
  }
}
