/** The streams that are open in the name of others: each ends with its call, with the agent, with the right of who asked, and with whom it is about. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { deliverUpdates, type UpdateStream } from '../streams/deliver-updates.js';
import { StreamEnds } from '../streams/stream-ends.js';
import type { Subscription } from '../svid-cache/workload-identities.js';
import type { Subject } from './subject.js';

/** The right of a caller to ask in the name of others. */
export interface Authorization {
  /** @throws BonafideError once the caller has it no longer. */
  check(): void;
  /** Tells when that is so, if nobody asks. */
  onEnd(listener: (why: BonafideError) => void): Subscription;
}

interface StreamCall {
  readonly call: Pick<ServerWritableStream<unknown, Buffer>, 'write'>;
  /** Fires when the call is over. */
  readonly signal: AbortSignal;
  readonly authorization: Authorization;
  /** Undefined: it is about nobody in particular. */
  readonly subject: Subject | undefined;
}

export class AuthorizedStreams {
  readonly #streams = new StreamEnds();

  /** Runs until something ends it. @throws always, as `deliverUpdates`. */
  deliver<Update>(
    { authorization, call, signal, subject }: StreamCall,
    { encode, follow }: UpdateStream<Update>,
  ): Promise<never> {
    return deliverUpdates<Update>(
      { call, signal, streams: this.#streams },
      {
        follow: (push, end) => {
          subject?.onEnd(end);
          const followed = follow(push, end);
          const authorized = authorization.onEnd(end);
          return {
            close: () => {
              followed.close();
              authorized.close();
            },
          };
        },
        encode: (update) => {
          authorization.check();
          return encode(update);
        },
      },
    );
  }

  endAll(): void {
    this.#streams.endAll();
  }
}
