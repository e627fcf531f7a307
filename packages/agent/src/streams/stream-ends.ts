/** How streams end: by what went wrong, when the call is over, or all of them with the agent. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

interface StreamEnd {
  /** The first to be given is why; harmless afterwards. */
  readonly end: (why: unknown) => void;
  /** Rejects with why. */
  readonly ended: Promise<never>;
  readonly isOver: () => boolean;
  /** To be called when the stream has ended. */
  readonly release: () => void;
}

export class StreamEnds {
  /** What ends each open stream. */
  readonly #open = new Set<(why: unknown) => void>();

  /** So that clients look for the next agent on the same socket. */
  endAll(): void {
    for (const end of this.#open) end(new BonafideError('unavailable', 'the agent is shutting down'));
  }

  /** @param signal fires when the call is over. */
  open(signal: AbortSignal): StreamEnd {
    let isOver = false;
    let reject: (why: unknown) => void = () => undefined;
    const ended = new Promise<never>((_, rejected) => {
      reject = rejected;
    });
    ended.catch(() => undefined); // when the call ends before anybody waits for it, what `follow` throws is the answer
    const end = (why: unknown): void => {
      isOver = true;
      reject(why);
    };
    const onOver = (): void => {
      end(new BonafideError('cancelled', 'the call is over'));
    };
    if (signal.aborted) onOver();
    signal.addEventListener('abort', onOver, { once: true });
    this.#open.add(end);
    return {
      end,
      ended,
      isOver: () => isOver,
      release: () => {
        isOver = true;
        this.#open.delete(end);
        signal.removeEventListener('abort', onOver);
      },
    };
  }
}
