/** An agent for tests: applies what a watch stream says, as slowly as it is told to, and comes back with its cursor. */
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WatchResponse } from '@bonafide/shared/sync/watch-message';
import type { OpenWatch } from './watch-opening.js';
import type { WatchStreams } from './watch-streams.js';

export class WatchingAgent {
  readonly agentId: SpiffeId;
  readonly messages: WatchResponse[] = [];
  logId = '';
  revision = 0;
  entries = new Map<string, RegistrationEntry>();
  bundles = new Map<TrustDomain, TrustBundle>();
  ended: BonafideError | undefined;
  acknowledges = true;
  #pages: WatchResponse[] = [];
  #watch: OpenWatch | undefined;
  #gate: Promise<void> | undefined;
  #openGate: (() => void) | undefined;
  #isBroken = false;

  constructor(agentId: SpiffeId) {
    this.agentId = agentId;
  }

  connect(streams: WatchStreams, expiresAt: Date, serialNumber = 'a1'): void {
    this.ended = undefined;
    this.#pages = [];
    this.#isBroken = false;
    const cursor = this.logId === '' ? undefined : { logId: this.logId, revision: this.revision };
    let isOpen = true;
    this.#watch = streams.open({
      agentId: this.agentId,
      serialNumber,
      expiresAt,
      hello: { kind: 'hello', cursor, agentVersion: 'test' },
      transport: {
        send: async (message) => {
          if (this.#isBroken) throw new Error('connection reset');
          await this.#gate;
          // What is under way when a connection ends is lost.
          if (isOpen) this.#apply(message);
        },
        end: (error) => {
          isOpen = false;
          this.ended = error;
        },
      },
    });
    const watch = this.#watch;
    this.#watch = {
      acknowledge: (revision) => {
        watch.acknowledge(revision);
      },
      close: () => {
        isOpen = false;
        watch.close();
      },
    };
  }

  close(): void {
    this.#watch?.close();
  }

  acknowledge(revision: number): void {
    this.#watch?.acknowledge(revision);
  }

  breakTransport(): void {
    this.#isBroken = true;
  }

  /** Takes no more messages. */
  pause(): void {
    this.#gate ??= new Promise((resolve) => (this.#openGate = resolve));
  }

  async resume(): Promise<void> {
    this.#openGate?.();
    this.#gate = undefined;
    await settle();
  }

  #apply(message: WatchResponse): void {
    this.messages.push(message);
    if (message.kind === 'drain' || message.kind === 'proof_request') return;
    if (message.kind === 'snapshot_page') {
      this.#pages.push(message);
      if (!message.isLast) return;
      this.entries = new Map();
      this.bundles = new Map();
      for (const page of this.#pages) {
        if (page.kind !== 'snapshot_page') continue;
        for (const entry of page.entries) this.entries.set(entry.id, entry);
        for (const bundle of page.bundles) this.bundles.set(bundle.trustDomain, bundle);
      }
      this.#pages = [];
    } else {
      for (const entry of message.upsertedEntries) this.entries.set(entry.id, entry);
      for (const entryId of message.removedEntryIds) this.entries.delete(entryId);
      for (const bundle of message.upsertedBundles) this.bundles.set(bundle.trustDomain, bundle);
      for (const trustDomain of message.removedBundleTrustDomains) this.bundles.delete(trustDomain);
    }
    this.logId = message.logId;
    this.revision = message.revision;
    if (this.acknowledges) this.acknowledge(message.revision);
  }
}

/** Lets everything that can happen without time passing happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
