/** A stream of whole messages that follows changes: the first at once, and of those that a slow reader misses only the newest. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { Subscription } from '../svid-cache/workload-identities.js';
import { LatestOnly } from './latest-only.js';
import type { StreamEnds } from './stream-ends.js';

export interface UpdateStream<Update> {
  /** @param end stops the stream with what is given to it; harmless afterwards. @throws BonafideError when the request is refused. */
  readonly follow: (push: (update: Update) => void, end: (why: unknown) => void) => Subscription;
  /** The encoded message. @throws BonafideError when there is nothing for the caller (any more). */
  readonly encode: (update: Update) => Buffer;
}

interface StreamCall {
  readonly call: Pick<ServerWritableStream<unknown, Buffer>, 'write'>;
  /** Fires when the call is over. */
  readonly signal: AbortSignal;
  readonly streams: StreamEnds;
}

/** Runs until something ends it. @throws always, with what ended it. */
export async function deliverUpdates<Update>(
  { call, signal, streams }: StreamCall,
  { encode, follow }: UpdateStream<Update>,
): Promise<never> {
  const stream = streams.open(signal);
  let sent: Buffer | undefined;
  const latest = new LatestOnly<Update>((update, taken) => {
    if (stream.isOver()) return;
    try {
      const message = encode(update);
      if (sent?.equals(message) === true) {
        taken();
        return;
      }
      sent = message;
      call.write(message, taken); // called back once it has left for the network; never when the call is over
    } catch (error) {
      stream.end(error);
    }
  });
  let subscription: Subscription | undefined;
  try {
    subscription = follow((update) => {
      latest.set(update);
    }, stream.end);
    return await stream.ended;
  } finally {
    stream.release();
    subscription?.close();
  }
}
