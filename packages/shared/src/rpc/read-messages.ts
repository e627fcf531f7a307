/** Reading a stream's messages one after the other, without closing its other direction when the reader has had enough. */
import type { Readable } from 'node:stream';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { BonafideError } from '../errors/bonafide-error.js';

/**
 * In a handler. Ends when the client says that it has no more. A client that goes away looks the same, or makes this throw
 * BonafideError `cancelled`: only the call's signal, soon after, tells for certain.
 */
export function readMessages<Request, Response>(
  call: ServerDuplexStream<Request, Response>,
): AsyncGenerator<Request, undefined> {
  return messagesOf<Request>(call);
}

/**
 * Of either end's stream; gRPC's types do not say of which messages. Unlike the stream's own iterator it never destroys the stream: a
 * handler that fails while a message is being read and another written would lose its status.
 */
export async function* messagesOf<Message>(stream: Readable): AsyncGenerator<Message, undefined> {
  let failure: unknown;
  let wake = (): void => undefined;
  const look = (): void => {
    wake();
  };
  const fail = (error: unknown): void => {
    failure ??= error;
    wake();
  };
  for (const event of ['readable', 'end', 'close']) stream.on(event, look);
  stream.on('error', fail);
  try {
    for (;;) {
      const message: unknown = stream.destroyed ? null : stream.read();
      if (message !== null) {
        yield message as Message;
        continue;
      }
      if (stream.readableEnded) return undefined;
      if (failure !== undefined || stream.destroyed) {
        throw new BonafideError('cancelled', 'the call is over', { cause: failure ?? stream.errored });
      }
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    for (const event of ['readable', 'end', 'close']) stream.off(event, look);
    stream.off('error', fail);
  }
}
