/** What every live source tells, and the wait for its first answer. */
import type { EventEmitter } from 'node:events';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';

/** What is listened to with `source.on`. */
export interface SourceEvents {
  /** Something that the source holds changed; its properties already are the new ones. */
  update: [];
  /** The Workload API grants this process nothing any more: what was held is dropped until an `update` says otherwise. */
  denied: [BonafideError];
  /** The Workload API cannot be reached, or answered something unusable; what was held stays, and it is tried again. */
  disconnect: [BonafideError];
  /** The watch has ended: undefined after `close`, otherwise with the reason for which trying again would be wrong. */
  close: [BonafideError | undefined];
}

interface FirstAnswer {
  readonly clock: Clock;
  /** What is waited for, in errors. */
  readonly what: string;
  /** Whether an update was the one; undefined: any is. */
  readonly isReady?: (() => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** A listener that throws is its owner's fault and must not pass for a fault of the stream. */
export function announce(emit: () => void): void {
  try {
    emit();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** @throws BonafideError `deadline_exceeded` with the last problem as its cause; `cancelled`; or the error that the source closed with. */
export function waitForFirst(source: EventEmitter<SourceEvents>, first: FirstAnswer): Promise<void> {
  const { clock, what, isReady, signal, timeoutMs = DEFAULT_TIMEOUT_MS } = first;
  return new Promise((resolve, reject) => {
    let last: BonafideError | undefined;
    const remember = (error: BonafideError): void => {
      last = error;
    };
    const finish = (settle: () => void): void => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      source
        .off('update', onUpdate)
        .off('close', onClose)
        .off('denied', remember)
        .off('disconnect', remember);
      settle();
    };
    const onUpdate = (): void => {
      if (isReady?.() !== false) finish(resolve);
    };
    const onClose = (error: BonafideError | undefined): void => {
      finish(() => {
        reject(error ?? new BonafideError('cancelled', `the source of the ${what} was closed`));
      });
    };
    const onAbort = (): void => {
      finish(() => {
        reject(new BonafideError('cancelled', `cancelled while waiting for the first ${what}`));
      });
    };
    const timer = clock.schedule(timeoutMs, () => {
      finish(() => {
        const because = last === undefined ? '' : `: ${last.message}`;
        const message = `no ${what} within ${timeoutMs} ms${because}`;
        reject(new BonafideError('deadline_exceeded', message, { cause: last }));
      });
    });
    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    source.on('update', onUpdate).on('close', onClose).on('denied', remember).on('disconnect', remember);
  });
}
