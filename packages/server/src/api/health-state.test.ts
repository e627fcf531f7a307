import { FakeClock } from '@bonafide/testing/fake-clock';
import { beforeEach, describe, expect, it } from 'vitest';
import type { AuthorityProblem } from '../authority/authority-rotation.js';
import { ConnectionState } from '../store/connection-state.js';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { HealthState } from './health-state.js';

let clock: FakeClock;
let connection: ConnectionState;
let canSign: boolean;
let problems: AuthorityProblem[];
let stop: AbortController;
let health: HealthState;

beforeEach(() => {
  clock = new FakeClock(new Date('2030-01-01T00:00:00Z'));
  connection = new ConnectionState({ clock, log: silentLogger });
  canSign = true;
  problems = [];
  stop = new AbortController();
  health = new HealthState({
    ...{ clock, connection },
    authorities: { canSignX509: () => canSign, problems: () => problems },
  });
  health.start(stop.signal);
  health.set(true);
});

describe('the health of a server', () => {
  it('is well with all its components, and says nothing', () => {
    expect([health.isServing, health.isWell('datastore'), health.isWell('authority')]).toEqual([
      true,
      true,
      true,
    ]);
    expect(health.degradations()).toEqual([]);
  });

  it('serves without its database: one component is unwell, and the words say since when, why, and what waits', async () => {
    const changed = health.changed(stop.signal);
    connection.lost('connection refused');
    await changed;
    expect([health.isServing, health.isWell('datastore'), health.isWell('authority')]).toEqual([
      true,
      false,
      true,
    ]);
    expect(health.degradations()).toEqual([
      'The database cannot be reached since 2030-01-01T00:00:00.000Z: connection refused; changes and attestation wait for it.',
    ]);
    const recovered = health.changed(stop.signal);
    connection.found();
    await recovered;
    expect(health.degradations()).toEqual([]);
  });

  it('tells of an authority that ends by itself, which nobody reports', async () => {
    const changed = health.changed(stop.signal);
    canSign = false;
    await clock.advance(10_000);
    await changed;
    expect([health.isServing, health.isWell('authority')]).toEqual([false, false]);
  });

  it('stops looking, and ends who watches, with its signal', async () => {
    const changed = health.changed(stop.signal);
    stop.abort();
    await expect(changed).rejects.toMatchObject({ reason: 'cancelled' });
    expect(clock.pendingTimers).toBe(0);
  });
});
