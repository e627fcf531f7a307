/** JWT-SVIDs that are used again until half of their life is over, so that a token is fetched rarely and never at the last moment. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';

const MAX_TOKENS = 1_000;
/** A token that is older than this on arrival somewhere may be refused there. */
const LEAST_REMAINING_MS = 5_000;

interface Kept {
  readonly svid: JwtSvid;
  readonly renewAtMs: number;
}

export class JwtSvidCache {
  readonly #clock: Clock;
  /** In order of use. */
  readonly #kept = new Map<string, Kept>();
  readonly #underWay = new Map<string, Promise<JwtSvid>>();
  /** Grows when tokens are dropped: what was asked for before is not kept. */
  #generation = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Callers that want the same token at once share one fetch. @throws what `fetch` throws, unless a kept token is still good. */
  async get(key: string, fetch: () => Promise<JwtSvid>): Promise<JwtSvid> {
    const kept = this.#kept.get(key);
    if (kept !== undefined && this.#clock.now().getTime() < kept.renewAtMs) {
      this.#keep(key, kept);
      return kept.svid;
    }
    try {
      return await this.#fetchOnce(key, fetch);
    } catch (error) {
      const isAway = hasReason(error, 'unavailable', 'deadline_exceeded', 'resource_exhausted');
      const fallback = this.#kept.get(key)?.svid;
      if (isAway && fallback !== undefined && this.#remainingMs(fallback) > LEAST_REMAINING_MS)
        return fallback;
      this.#kept.delete(key);
      throw error;
    }
  }

  dropIf(isStale: (svid: JwtSvid) => boolean): void {
    this.#generation += 1;
    this.#underWay.clear();
    for (const [key, { svid }] of this.#kept) if (isStale(svid)) this.#kept.delete(key);
  }

  #fetchOnce(key: string, fetch: () => Promise<JwtSvid>): Promise<JwtSvid> {
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) return underWay;
    const generation = this.#generation;
    const fetching = fetch()
      .then((svid) => {
        if (generation === this.#generation) {
          this.#keep(key, { svid, renewAtMs: this.#clock.now().getTime() + this.#remainingMs(svid) / 2 });
        }
        return svid;
      })
      .finally(() => {
        if (this.#underWay.get(key) === fetching) this.#underWay.delete(key);
      });
    this.#underWay.set(key, fetching);
    return fetching;
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_TOKENS && oldest !== undefined) this.#kept.delete(oldest);
  }

  #remainingMs({ expiresAt }: JwtSvid): number {
    return expiresAt.getTime() - this.#clock.now().getTime();
  }
}
