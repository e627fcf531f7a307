/** How often one source may attest, have certificates signed or report its status; as in SPIRE, a short wait comes before a refusal. */
import { BlockList, isIPv4 } from 'node:net';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Peer } from './peer.js';
import { TokenBucket } from './token-bucket.js';

export type RateLimitKind = 'attestation' | 'signing' | 'status';

export interface RateLimitOptions {
  readonly clock: Clock;
  /** Per second and source, which is also the burst; undefined: no limit. */
  readonly perSecond: Readonly<Record<RateLimitKind, number | undefined>>;
  /** Addresses and CIDR ranges of proxies: many callers share such a source, so it is not limited. */
  readonly trustedProxies: readonly string[];
}

/** A caller waits this long at most; the bound also bounds how many of them wait. */
const MAXIMUM_WAIT_MS = 5_000;
/** Sources that are remembered; past it the longest unseen is forgotten. */
const MAXIMUM_SOURCES = 50_000;

export class RateLimits {
  readonly #options: RateLimitOptions;
  readonly #trustedProxies: BlockList;
  readonly #buckets: Readonly<Record<RateLimitKind, Map<string, TokenBucket>>> = {
    attestation: new Map(),
    signing: new Map(),
    status: new Map(),
  };

  constructor(options: RateLimitOptions) {
    this.#options = options;
    this.#trustedProxies = addressRanges(options.trustedProxies);
  }

  /**
   * Resolves when the caller may go on. Callers over the admin socket and from behind a trusted proxy are not limited.
   * @throws BonafideError `resource_exhausted` when it would have to wait too long; `cancelled` by the signal.
   */
  async take(kind: RateLimitKind, peer: Peer, count: number, signal: AbortSignal): Promise<void> {
    const perSecond = this.#options.perSecond[kind];
    if (perSecond === undefined || peer.kind === 'local' || this.#isTrustedProxy(peer.address)) return;
    const burst = Math.max(1, perSecond);
    if (count > burst) {
      throw new BonafideError(
        'resource_exhausted',
        `rate (${count}) exceeds burst size (${burst}); at most ${burst} can be asked for at once`,
      );
    }
    const { clock } = this.#options;
    const bucket = this.#bucket(kind, sourceOf(peer.address), { tokensPerSecond: perSecond, burst });
    const { isTaken, waitMs } = bucket.take(count, clock.monotonicMs(), MAXIMUM_WAIT_MS);
    if (!isTaken) {
      throw new BonafideError(
        'resource_exhausted',
        `rejecting request due to ${kind} rate limiting: more than ${perSecond} a second from ${peer.address}`,
        { retryAfterMs: Math.ceil(waitMs) },
      );
    }
    if (waitMs === 0) return;
    try {
      await sleep(clock, waitMs, signal);
    } catch (error) {
      bucket.giveBack(count);
      throw error;
    }
  }

  /** How many sources are remembered. */
  get size(): number {
    return Object.values(this.#buckets).reduce((sum, buckets) => sum + buckets.size, 0);
  }

  #bucket(
    kind: RateLimitKind,
    source: string,
    rate: { tokensPerSecond: number; burst: number },
  ): TokenBucket {
    const buckets = this.#buckets[kind];
    const nowMs = this.#options.clock.monotonicMs();
    const known = buckets.get(source);
    // A Map keeps insertion order: what is used moves to the end, so the first is the longest unseen.
    buckets.delete(source);
    const bucket = known ?? new TokenBucket(rate, nowMs);
    buckets.set(source, bucket);
    this.#forgetIdle(buckets, nowMs);
    return bucket;
  }

  #forgetIdle(buckets: Map<string, TokenBucket>, nowMs: number): void {
    let looks = 2; // more than one new source a call cannot arrive, so the table shrinks faster than it grows
    for (const [source, bucket] of buckets) {
      if (looks === 0 || buckets.size <= 1) return;
      looks -= 1;
      if (!bucket.isFull(nowMs) && buckets.size <= MAXIMUM_SOURCES) return;
      buckets.delete(source);
    }
  }

  #isTrustedProxy(address: string): boolean {
    return this.#trustedProxies.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  }
}

/** Whoever has one IPv6 address usually has the 2^64 of its network: those are one source. */
function sourceOf(address: string): string {
  if (isIPv4(address)) return address;
  const [head = '', tail = ''] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return [...before, ...zeros, ...after].slice(0, 4).join(':');
}

function addressRanges(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const slash = range.indexOf('/');
    const address = slash === -1 ? range : range.slice(0, slash);
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (slash === -1) list.addAddress(address, family);
    else list.addSubnet(address, Number(range.slice(slash + 1)), family);
  }
  return list;
}
