/** Streams in both directions: requests are taken as they come, and what is due is said at the reader's pace, never more than one message ahead. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { readMessages } from '@bonafide/shared/rpc/read-messages';
import { LatestOnly } from '../streams/latest-only.js';

export interface Conversation<Request, Response> {
  /** @throws BonafideError when the request is refused, which ends the stream. */
  receive(request: Request): void;
  /** All that is due now as one message; undefined when nothing is. @throws BonafideError to end the stream. */
  next(): Response | undefined;
  /** Called once when the stream is over. */
  close(): void;
}

export interface ConversationFeed {
  /** To be called when something may be due. */
  changed(): void;
}

interface ConversationParts<Request, Response> {
  readonly call: ServerDuplexStream<Request, Response>;
  readonly begin: (feed: ConversationFeed) => Conversation<Request, Response>;
  /** @throws BonafideError when nothing more may be said or heard. */
  readonly check: () => void;
  /** Ends the stream. */
  readonly end: (error: unknown) => void;
  /** Rejects when the stream is ended. */
  readonly ended: Promise<never>;
}

/** Resolves when the client has said all it wants and wants no more. @throws what `ended` rejects with. */
export async function converse<Request, Response>(
  parts: ConversationParts<Request, Response>,
): Promise<void> {
  const { begin, call, check, end, ended } = parts;
  let isOver = false;
  const turns = new LatestOnly<true>((_, taken) => {
    if (isOver || conversation === undefined) {
      taken();
      return;
    }
    try {
      check();
      const message = conversation.next();
      if (message === undefined) taken();
      else call.write(message, taken); // called back once it has left for the network; never when the call is over
    } catch (error) {
      end(error);
    }
  });
  const changed = (): void => {
    turns.set(true);
  };
  let conversation: Conversation<Request, Response> | undefined;
  const hear = async (): Promise<void> => {
    for await (const request of readMessages(call)) {
      if (isOver) return;
      check();
      conversation?.receive(request);
    }
  };
  try {
    conversation = begin({ changed });
    changed(); // it may have said so before it could be asked
    const heard = hear();
    heard.catch(() => undefined); // when the stream is ended meanwhile, that is the answer
    await Promise.race([ended, heard]);
  } finally {
    isOver = true;
    conversation?.close();
  }
}
