/** When SPIFFE IDs that someone waits for are first seen. */
import { performance } from 'node:perf_hooks';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

const LIMIT_MS = 30_000;

export class Arrivals {
  readonly #waiting = new Map<SpiffeId, (atMs: number) => void>();

  /** To be called before it can come. @returns when it came, by `performance.now()`. */
  of(spiffeId: SpiffeId): Promise<number> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        this.#waiting.delete(spiffeId);
        reject(new Error(`${spiffeId} did not come within ${LIMIT_MS} ms`));
      }, LIMIT_MS);
      this.#waiting.set(spiffeId, (atMs) => {
        clearTimeout(limit);
        resolve(atMs);
      });
    });
  }

  see(spiffeIds: Iterable<SpiffeId>): void {
    const nowMs = performance.now();
    for (const spiffeId of spiffeIds) {
      this.#waiting.get(spiffeId)?.(nowMs);
      this.#waiting.delete(spiffeId);
    }
  }
}
