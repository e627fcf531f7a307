import { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import type { UpstreamAuthority } from '../authority/upstream/upstream-authority.js';
import { UpstreamMetrics } from './upstream-metrics.js';

const REQUEST = { csr: Buffer.from('csr'), preferredTtlSeconds: 60 };
const MINTED = { certificateChain: [Buffer.from('certificate')], upstreamRoots: [] } as const;
const { signal } = new AbortController();

/** With a field of its own, which is lost when its methods are called apart from it. */
class TestUpstream implements UpstreamAuthority {
  readonly name = 'test';
  readonly #published: readonly TokenAuthority[] = [];
  failure: Error | undefined;

  async mintX509Authority(): ReturnType<UpstreamAuthority['mintX509Authority']> {
    await clock.advance(1500);
    if (this.failure !== undefined) throw this.failure;
    return MINTED;
  }

  publishJwtAuthority(): Promise<readonly TokenAuthority[]> {
    return Promise.resolve(this.#published);
  }

  async follow(listener: Parameters<UpstreamAuthority['follow']>[0]): Promise<void> {
    await listener({ x509Roots: [] });
  }
}

let clock: FakeClock;
let registry: MetricRegistry;
let upstream: TestUpstream;
let metered: UpstreamAuthority;
beforeEach(() => {
  clock = new FakeClock();
  registry = new MetricRegistry();
  upstream = new TestUpstream();
  metered = new UpstreamMetrics(registry, clock).meter(upstream);
});

async function calls(): Promise<readonly string[]> {
  const lines = (await registry.text()).split('\n');
  return lines
    .filter((line) => line.startsWith('bonafide_upstream_authority_calls_total{') && !line.endsWith(' 0'))
    .map((line) => line.replace(/.*call="(\w+)",result="(\w+)"\} (\d+)/, '$1 $2 $3'));
}

describe('the metrics of the upstream authority', () => {
  it('count what it gave, and how long it took', async () => {
    expect(await metered.mintX509Authority(REQUEST, signal)).toBe(MINTED);
    expect(await metered.publishJwtAuthority?.({} as TokenAuthority, signal)).toEqual([]);
    expect(await calls()).toEqual(['mint_x509 success 1', 'publish_jwt success 1']);
    const text = await registry.text();
    expect(text).toContain('bonafide_upstream_authority_duration_seconds_sum{call="mint_x509"} 1.5');
  });

  it.each<readonly [Reason | undefined, string]>([
    ['unavailable', 'unavailable'],
    ['deadline_exceeded', 'unavailable'],
    ['permission_denied', 'refused'],
    ['invalid_argument', 'refused'],
    ['internal', 'failed'],
    [undefined, 'failed'],
  ])('take %s for %s, and pass the error on', async (reason, result) => {
    upstream.failure = reason === undefined ? new TypeError('of undefined') : new BonafideError(reason, 'no');
    await expect(metered.mintX509Authority(REQUEST, signal)).rejects.toBe(upstream.failure);
    expect(await calls()).toEqual([`mint_x509 ${result} 1`]);
  });

  it('count what it had us publish, as we took it', async () => {
    await metered.follow(() => Promise.resolve(), signal);
    const refusal = new BonafideError('failed_precondition', 'it publishes no X.509 authorities');
    await expect(metered.follow(() => Promise.reject(refusal), signal)).rejects.toBe(refusal);
    expect(await calls()).toEqual(['follow success 1', 'follow refused 1']);
  });

  it('lack what it lacks, for then we publish keys ourselves', () => {
    expect('publishWitAuthority' in metered).toBe(false);
    expect(metered.name).toBe('test');
  });
});
