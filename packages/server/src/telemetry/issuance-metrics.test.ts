import { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { beforeEach, describe, expect, it } from 'vitest';
import type { IssuedX509Svid, SigningOutcome, X509SvidRequest } from '../issuance/x509-svid-request.js';
import { IssuanceMetrics } from './issuance-metrics.js';

const AGENT = parseSpiffeId('spiffe://example.org/spire/agent/a');
const CALL = {
  caller: AGENT,
  secondsLeft: undefined,
  patienceMs: 1000,
  bytes: 0,
  signal: new AbortController().signal,
};
const ISSUED: SigningOutcome = {
  kind: 'issued',
  svid: {
    spiffeId: AGENT,
    certificateChain: [],
    serialNumber: '01',
    notBefore: new Date('2030-01-01T00:00:00Z'),
    notAfter: new Date('2030-01-01T01:00:00Z'),
  } satisfies IssuedX509Svid,
};
const RESULTS = ['issued', 'refused', 'deferred', 'cancelled', 'failed'] as const;

let clock: FakeClock;
let registry: MetricRegistry;
let metrics: IssuanceMetrics;
beforeEach(() => {
  clock = new FakeClock();
  registry = new MetricRegistry();
  metrics = new IssuanceMetrics(registry, clock);
});

async function value(series: string): Promise<number> {
  const line = (await registry.text()).split('\n').find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1));
}

/** What is not zero. */
async function counts(kind: string): Promise<Readonly<Record<string, number>>> {
  const found: Record<string, number> = {};
  for (const result of RESULTS) {
    const count = await value(`bonafide_svid_issuances_total{kind="${kind}",result="${result}"}`);
    if (count !== 0) found[result] = count;
  }
  return found;
}

function failWith(error: Error): Promise<unknown> {
  return metrics.meter('jwt', { issue: () => Promise.reject(error) }).issue(undefined);
}

describe('the metrics of issuance', () => {
  it('count what was issued, and how long it took', async () => {
    const issuer = metrics.meter('x509_agent', {
      issue: async (name: string) => {
        await clock.advance(250);
        return `${name} is signed`;
      },
    });
    expect(await issuer.issue('a')).toBe('a is signed');
    expect(await counts('x509_agent')).toEqual({ issued: 1 });
    expect(await value('bonafide_svid_issuance_duration_seconds_sum{kind="x509_agent"}')).toBe(0.25);
  });

  it.each<readonly [Reason, (typeof RESULTS)[number]]>([
    ['invalid_argument', 'refused'],
    ['permission_denied', 'refused'],
    ['not_found', 'refused'],
    ['resource_exhausted', 'deferred'],
    ['cancelled', 'cancelled'],
    ['unavailable', 'failed'],
    ['internal', 'failed'],
  ])('take %s for %s, and pass the error on', async (reason, result) => {
    const error = new BonafideError(reason, 'no');
    await expect(failWith(error)).rejects.toBe(error);
    expect(await counts('jwt')).toEqual({ [result]: 1 });
    expect(await value('bonafide_svid_issuance_duration_seconds_count{kind="jwt"}')).toBe(0);
  });

  it('take what nobody expected for failed', async () => {
    await expect(failWith(new TypeError('of undefined'))).rejects.toThrow(TypeError);
    expect(await counts('jwt')).toEqual({ failed: 1 });
  });

  it('count each item of a batch by how it ended, and how long the first waited', async () => {
    const refused: SigningOutcome = {
      kind: 'refused',
      error: new BonafideError('invalid_argument', 'a bad CSR'),
    };
    const made: string[] = [];
    const request = (name: string) => (): X509SvidRequest => {
      made.push(name);
      throw new BonafideError('not_found', name); // what it makes is not looked at here
    };
    const batches = metrics.meterBatches({
      waiting: 7,
      issueBatch: async (requests) => {
        await clock.advance(500);
        for (const make of requests) expect(make).toThrow('item');
        await clock.advance(1500);
        return [ISSUED, ISSUED, refused];
      },
    });
    const outcomes = await batches.issueBatch(
      [request('item 1'), request('item 2'), request('item 3')],
      CALL,
    );
    expect(outcomes).toEqual([ISSUED, ISSUED, refused]);
    expect(made).toEqual(['item 1', 'item 2', 'item 3']);
    expect(await counts('x509')).toEqual({ issued: 2, refused: 1 });
    expect(await value('bonafide_issuance_queue_wait_seconds_sum')).toBe(0.5);
    expect(await value('bonafide_issuance_batch_duration_seconds_sum')).toBe(2);
    expect(await value('bonafide_issuance_queue_length')).toBe(7);
  });

  it('count every item of a batch that was sent back, and of an empty one nothing', async () => {
    const full = new BonafideError('resource_exhausted', 'the queue is full');
    const batches = metrics.meterBatches({ waiting: 0, issueBatch: () => Promise.reject(full) });
    const request = (): X509SvidRequest => {
      throw full;
    };
    await expect(batches.issueBatch([request, request], CALL)).rejects.toBe(full);
    expect(await batches.issueBatch([], CALL)).toEqual([]);
    expect(await counts('x509')).toEqual({ deferred: 2 });
  });
});
