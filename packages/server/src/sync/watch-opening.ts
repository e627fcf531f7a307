/** An agent that opens a Watch stream, and what its transport tells of it afterwards. */
import type { WatchHello } from '@bonafide/shared/sync/watch-message';
import type { StreamOwner } from './stream-rights.js';
import type { WatchTransport } from './watch-transport.js';

export interface WatchOpening extends StreamOwner {
  readonly expiresAt: Date;
  readonly hello: WatchHello;
  readonly transport: WatchTransport;
}

/** What the transport reports. */
export interface OpenWatch {
  /** The agent has applied everything up to the revision. */
  acknowledge(revision: number): void;
  /** The peer has ended the stream or is gone. */
  close(): void;
}
