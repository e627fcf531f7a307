import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DatabaseState } from '../store/store.js';
import { observeServer } from './server-gauges.js';

let clock: FakeClock;
let registry: MetricRegistry;
let state: DatabaseState;
let answer: Promise<number>;
beforeEach(() => {
  clock = new FakeClock();
  registry = new MetricRegistry();
  state = { kind: 'connected' };
  answer = Promise.resolve(12);
  observeServer(registry, {
    graph: { size: { entries: 3, nodes: 2, bundles: 1 }, revision: 10 },
    store: {
      connection: {
        get state() {
          return state;
        },
        subscribe: () => () => undefined,
      },
      currentRevision: () => answer,
    },
    audit: { ready: () => undefined },
    authorities: { slots: () => [], problems: () => [] },
    serverSvid: () => ({ notAfter: new Date('2030-01-01T01:00:00Z') }),
    watchStreams: { size: 0 },
    connections: () => ({ tls: 0, admin: 0 }),
    federation: () => [],
    clock,
  });
});

function revisions(text: string): readonly string[] {
  return text.split('\n').filter((line) => /^bonafide_(datastore_)?revision /.test(line));
}

describe('the gauges of the server', () => {
  it('tell how far the database is beside how far this server is', async () => {
    expect(revisions(await registry.text()).toSorted()).toEqual([
      'bonafide_datastore_revision 12',
      'bonafide_revision 10',
    ]);
  });

  it('leave out what a database that is lost, or fails, would have said', async () => {
    answer = Promise.reject(new Error('the connection was reset'));
    expect(revisions(await registry.text())).toEqual(['bonafide_revision 10']);
    answer = new Promise(() => undefined); // not asked
    state = { kind: 'lost', since: clock.now(), problem: 'gone' };
    expect(revisions(await registry.text())).toEqual(['bonafide_revision 10']);
  });

  it('do not keep a scrape waiting for a database that never answers', async () => {
    answer = new Promise(() => undefined);
    let text: string | undefined;
    void registry.text().then((all) => {
      text = all;
    });
    await waitFor('the question', () => clock.pendingTimers > 0);
    await clock.advance(3000);
    await waitFor('the metrics', () => text !== undefined);
    expect(revisions(text ?? '')).toEqual(['bonafide_revision 10']);
  });
});
