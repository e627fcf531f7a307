/** How often one source may attest, have certificates signed or report its status; as in SPIRE, a short wait comes before a refusal. */
import { BlockList, isIPv4 } from 'node:net';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { TokenBuckets } from '@bonafide/shared/runtime/token-buckets';
import type { Peer } from './peer.js';

export type RateLimitKind = 'attestation' | 'signing' | 'status';

/** What the configuration says of them. */
export interface ConfiguredRates {
  /** Per second and source, which is also the burst; undefined: no limit. */
  readonly perSecond: Readonly<Record<RateLimitKind, number | undefined>>;
  /** Addresses and CIDR ranges of proxies: many callers share such a source, so it is not limited. */
  readonly trustedProxies: readonly string[];
}

export interface RateLimitOptions extends ConfiguredRates {
  readonly clock: Clock;
  /** Told of each call that is refused. */
  readonly onRefused?: ((kind: RateLimitKind) => void) | undefined;
}

/** A caller waits this long at most; the bound also bounds how many of them wait. */
const MAXIMUM_WAIT_MS = 5_000;

export class RateLimits {
  readonly #options: RateLimitOptions;
  #perSecond: ConfiguredRates['perSecond'];
  #trustedProxies: BlockList;
  #buckets: Readonly<Record<RateLimitKind, TokenBuckets<string> | undefined>>;

  constructor(options: RateLimitOptions) {
    this.#options = options;
    this.#trustedProxies = addressRanges(options.trustedProxies);
    this.#perSecond = options.perSecond;
    this.#buckets = bucketsOf(options.perSecond);
  }

  /** From the next call on. What a source has used up counts on, where its rate stays. */
  replace({ perSecond, trustedProxies }: ConfiguredRates): void {
    const made = bucketsOf(perSecond);
    const before = this.#perSecond;
    const kept = (kind: RateLimitKind): TokenBuckets<string> | undefined =>
      perSecond[kind] === before[kind] ? this.#buckets[kind] : made[kind];
    this.#buckets = {
      attestation: kept('attestation'),
      signing: kept('signing'),
      status: kept('status'),
    };
    this.#perSecond = perSecond;
    this.#trustedProxies = addressRanges(trustedProxies);
  }

  /**
   * Resolves when the caller may go on. Callers over the admin socket and from behind a trusted proxy are not limited.
   * @throws BonafideError `resource_exhausted` when it would have to wait too long; `cancelled` by the signal.
   */
  async take(kind: RateLimitKind, peer: Peer, count: number, signal: AbortSignal): Promise<void> {
    const perSecond = this.#perSecond[kind];
    const buckets = this.#buckets[kind];
    if (perSecond === undefined || buckets === undefined) return;
    if (peer.kind === 'local' ? peer.isGuest !== true : this.#isTrustedProxy(peer.address)) return;
    const burst = burstOf(perSecond);
    if (count > burst) {
      this.#options.onRefused?.(kind);
      throw new BonafideError(
        'resource_exhausted',
        `rate (${count}) exceeds burst size (${burst}); at most ${burst} can be asked for at once`,
      );
    }
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const bucket = buckets.of(sourceOf(peer), nowMs);
    const { isTaken, waitMs } = bucket.take(count, nowMs, MAXIMUM_WAIT_MS);
    if (!isTaken) {
      this.#options.onRefused?.(kind);
      throw new BonafideError(
        'resource_exhausted',
        `rejecting request due to ${kind} rate limiting: more than ${perSecond} a second from ${peer.kind === 'local' ? `uid ${peer.uid}` : peer.address}`,
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
    return Object.values(this.#buckets).reduce((sum, buckets) => sum + (buckets?.size ?? 0), 0);
  }

  #isTrustedProxy(address: string): boolean {
    return this.#trustedProxies.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  }
}

function bucketsOf({
  attestation,
  signing,
  status,
}: ConfiguredRates['perSecond']): Readonly<Record<RateLimitKind, TokenBuckets<string> | undefined>> {
  return { attestation: buckets(attestation), signing: buckets(signing), status: buckets(status) };
}

function buckets(perSecond: number | undefined): TokenBuckets<string> | undefined {
  if (perSecond === undefined) return undefined;
  return new TokenBuckets({ tokensPerSecond: perSecond, burst: burstOf(perSecond) });
}

function burstOf(perSecond: number): number {
  return Math.max(1, perSecond);
}

/** Whoever has one IPv6 address usually has the 2^64 of its network: those are one source. */
function sourceOf(peer: Peer): string {
  if (peer.kind === 'local') return `uid ${peer.uid}`;
  const { address } = peer;
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
