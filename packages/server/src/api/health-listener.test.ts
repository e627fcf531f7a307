import { healthConfigSchema } from '@bonafide/shared/http/health-config';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { ConnectionState } from '../store/connection-state.js';
import { serveHealth } from './health-listener.js';
import { HealthState } from './health-state.js';

describe('the health of a server over HTTP', () => {
  it('is not served unless it is asked for', async () => {
    const health = { isServing: true, checks: () => [] };
    expect(await serveHealth(healthConfigSchema.parse({}), { health, log: silentLogger })).toBeUndefined();
  });

  it('names each check, since when it is so, and what to do; it is ready while it signs', async () => {
    const clock = new FakeClock(new Date('2030-01-01T00:00:00Z'));
    const connection = new ConnectionState({ clock, log: silentLogger });
    let canSign = true;
    const authorities = { canSignX509: () => canSign, problems: () => [] };
    const health = new HealthState({ clock, connection, authorities });
    const stop = new AbortController();
    health.start(stop.signal);
    const config = { listener_enabled: true, bind_address: '127.0.0.1', bind_port: 0 };
    const served = await serveHealth(healthConfigSchema.parse(config), { health, log: silentLogger });
    const ask = async (path: string): Promise<readonly [number, unknown]> => {
      const response = await fetch(`http://127.0.0.1:${served?.port ?? 0}${path}`);
      return [response.status, response.status === 404 ? undefined : await response.json()];
    };
    const well = (name: string, since = '2030-01-01T00:00:00.000Z'): unknown => ({ name, ok: true, since });
    try {
      expect((await ask('/live'))[0]).toBe(200);
      expect((await ask('/ready'))[0]).toBe(500);
      await clock.advance(5_000);
      health.set(true);
      const started = well('server', '2030-01-01T00:00:05.000Z');
      expect(await ask('/ready')).toEqual([
        200,
        { server: {}, checks: [started, well('datastore'), well('authority')] },
      ]);
      connection.lost('connection refused');
      expect(await ask('/ready')).toMatchObject([
        200,
        {
          checks: [
            started,
            {
              name: 'datastore',
              ok: false,
              since: '2030-01-01T00:00:05.000Z',
              problem: expect.stringContaining('connection refused') as string,
              remedy: expect.stringContaining('database runs') as string,
            },
            well('authority'),
          ],
        },
      ]);
      canSign = false;
      expect((await ask('/ready'))[0]).toBe(500);
      expect((await ask('/live'))[0]).toBe(200);
      expect((await ask('/other'))[0]).toBe(404);
    } finally {
      stop.abort();
      served?.close();
    }
  });
});
