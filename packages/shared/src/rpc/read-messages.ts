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

/** Of either end's stream; gRPC's types do not say of which messages. */
export async function* messagesOf<Message>(stream: Readable): AsyncGenerator<Message, undefined> {
  try {
    for await (const message of stream.iterator({ destroyOnReturn: false })) yield message as Message;
  } catch (cause) {
    throw new BonafideError('cancelled', 'the call is over', { cause });
  }
  return undefined;
}
