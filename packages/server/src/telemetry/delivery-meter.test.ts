import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { beforeEach, describe, expect, it } from 'vitest';
import { DeliveryMeter } from './delivery-meter.js';

const A = parseSpiffeId('spiffe://example.org/spire/agent/a');
const B = parseSpiffeId('spiffe://example.org/spire/agent/b');

let clock: FakeClock;
let registry: MetricRegistry;
let told: string[];
let meter: DeliveryMeter;
beforeEach(() => {
  clock = new FakeClock();
  registry = new MetricRegistry();
  told = [];
  const note =
    (what: string) =>
    (agentId: SpiffeId, revision?: number): void => {
      told.push([what, agentId.slice(-1), ...(revision === undefined ? [] : [revision])].join(' '));
    };
  const receipts = {
    streamOpened: note('opened'),
    streamClosed: note('closed'),
    acknowledged: note('acknowledged'),
    forget: note('forget'),
  };
  meter = new DeliveryMeter({ registry, receipts, clock });
});

function changed(revision: number, ...agents: readonly SpiffeId[]): void {
  const reaches = [{ agents, entryIds: ['entry'], trustDomains: [] }];
  const nothing = { commits: [], isReload: false, nodes: [], resets: [], bundles: [] };
  meter.changed({ ...nothing, revision, reaches });
}

async function value(name: string): Promise<number> {
  const line = (await registry.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

const behind = (): Promise<number> => value('bonafide_agents_behind');
const deliveries = (): Promise<number> => value('bonafide_delivery_duration_seconds_count');
const seconds = (): Promise<number> => value('bonafide_delivery_duration_seconds_sum');

describe('the meter of deliveries', () => {
  it('measures from a change to the word of each agent that it concerns', async () => {
    meter.streamOpened(A, 1);
    meter.streamOpened(B, 1);
    changed(2, A, B);
    expect(await behind()).toBe(2);
    await clock.advance(2000);
    meter.acknowledged(A, 2);
    await clock.advance(1000);
    meter.acknowledged(B, 2);
    expect([await behind(), await deliveries(), await seconds()]).toEqual([0, 2, 5]);
  });

  it('counts from the oldest change that is owed, and an old word for nothing', async () => {
    meter.streamOpened(A, 1);
    changed(5, A);
    await clock.advance(1000);
    changed(6, A);
    meter.acknowledged(A, 4);
    expect([await behind(), await deliveries()]).toEqual([1, 0]);
    meter.acknowledged(A, 6);
    expect([await behind(), await deliveries(), await seconds()]).toEqual([0, 1, 1]);
  });

  it('expects nothing of agents that are not connected, or no longer', async () => {
    changed(2, A);
    meter.streamOpened(A, 1);
    changed(3, A);
    meter.streamClosed(A);
    expect(await behind()).toBe(0);
    changed(4, A);
    meter.streamOpened(A, 4);
    meter.acknowledged(A, 4);
    expect([await behind(), await deliveries()]).toEqual([0, 0]);
  });

  it('tells the receipts everything that it hears', () => {
    meter.streamOpened(A, 1);
    meter.acknowledged(A, 2);
    meter.forget(A);
    meter.streamClosed(A);
    expect(told).toEqual(['opened a 1', 'acknowledged a 2', 'forget a', 'closed a']);
  });
});
