/** A limit on waiting for something that may never answer. What it was goes on; only the wait ends. */
import { BonafideError } from '../errors/bonafide-error.js';
import type { Clock } from './clock.js';

/** @param what completes "… did not answer within". @throws BonafideError `deadline_exceeded`. */
export function withTimeLimit<T>(clock: Clock, limitMs: number, what: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(limitMs, () => {
      reject(new BonafideError('deadline_exceeded', `${what} did not answer within ${limitMs} ms`));
    });
    work.then(resolve, reject).finally(() => {
      timer.cancel();
    });
  });
}
