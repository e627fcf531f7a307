/** How often an operation can be done in a second by this process. */
import { performance } from 'node:perf_hooks';
import { SIGNING_WINDOW } from '@bonafide/server/issuance/signing-window';

export type Operation = (index: number) => Promise<unknown>;

/** Keeps as many under way as the signing window has places, for one round. */
export async function perSecond(operation: Operation, roundMs: number): Promise<number> {
  const start = performance.now();
  const end = start + roundMs;
  let done = 0;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < end) {
      await operation(next++);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: SIGNING_WINDOW }, lane));
  return (done * 1000) / (performance.now() - start);
}
