/** What carries the messages of a Watch stream. */
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { WatchResponse } from '@bonafide/shared/sync/watch-message';

export interface WatchTransport {
  /** Resolves when the next message may follow; rejects when the peer is gone. Never called twice at a time. */
  send(message: WatchResponse): Promise<void>;
  /** Ends the stream with an error, though the peer may not read; at most once, and nothing is sent after it. */
  end(error: BonafideError): void;
}
