/** One Watch stream: says what the agent holds, takes in what the server pushes, and acknowledges what has been applied. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { openBidiStream } from '@bonafide/shared/rpc/client-call';
import { watchRequestToProto, watchResponseFromProto } from '@bonafide/shared/rpc/codec/watch-message';
import type { WatchCursor, WatchSnapshotPage } from '@bonafide/shared/sync/watch-message';
import type { ServerChannel } from '../agent-identity/server-connection.js';
import type { AuthorizedChange } from '../svid-cache/authorized-change.js';

interface WatchEntriesOptions {
  readonly channel: Pick<ServerChannel, 'client'>;
  readonly cursor: WatchCursor | undefined;
  readonly agentVersion: string;
  /** Called once for each whole snapshot and each delta, in order. */
  readonly apply: (change: AuthorizedChange, cursor: WatchCursor) => void;
  /** The server is about to stop, and wants the agent to have gone elsewhere within so many milliseconds. */
  readonly onDrain?: (spreadMs: number) => void;
  /** The server wants the node proven anew. */
  readonly onProofRequest?: () => void;
  readonly signal: AbortSignal;
}

/** More than a snapshot of a million entries in small pages. */
const MOST_PAGES = 100_000;

/** Returns when the server ends the stream well. @throws BonafideError with the reason for which it ended otherwise. */
export async function watchEntries(options: WatchEntriesOptions): Promise<void> {
  const { channel, cursor, agentVersion, apply, onDrain, onProofRequest, signal } = options;
  const stream = openBidiStream(channel.client('bonafide.sync.v1.Sync'), 'Watch', { signal });
  const snapshot = new SnapshotPages();
  try {
    await stream.send(watchRequestToProto({ kind: 'hello', cursor, agentVersion }));
    for await (const proto of stream.messages) {
      const message = watchResponseFromProto(proto);
      if (message.kind === 'drain') {
        onDrain?.(message.spreadMs);
        continue;
      }
      if (message.kind === 'proof_request') {
        onProofRequest?.();
        continue;
      }
      const { logId, revision } = message;
      const change = message.kind === 'delta' ? message : snapshot.add(message);
      if (change === undefined) continue;
      apply(change, { logId, revision });
      await stream.send(watchRequestToProto({ kind: 'acknowledgement', revision }));
    }
  } finally {
    stream.cancel();
  }
}

/** Gathers the pages of a snapshot until it is whole. */
class SnapshotPages {
  #entries: RegistrationEntry[] = [];
  #bundles: TrustBundle[] = [];
  #revision: number | undefined;
  #count = 0;

  add(page: WatchSnapshotPage): AuthorizedChange | undefined {
    this.#revision ??= page.revision;
    this.#count += 1;
    if (page.revision !== this.#revision || this.#count > MOST_PAGES) {
      throw new BonafideError('internal', 'the server mixed the pages of different snapshots');
    }
    this.#entries.push(...page.entries);
    this.#bundles.push(...page.bundles);
    if (!page.isLast) return undefined;
    const change = { kind: 'snapshot', entries: this.#entries, bundles: this.#bundles } as const;
    this.#entries = [];
    this.#bundles = [];
    this.#revision = undefined;
    this.#count = 0;
    return change;
  }
}
