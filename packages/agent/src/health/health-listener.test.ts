import { Server, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Metadata } from '@grpc/grpc-js';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { apiSwitchesSchema, checkSwitches } from '../apis/api-switches.js';
import { listenForProbes } from '../helper/health-listener.js';
import { AgentHealth } from './agent-health.js';
import { healthConfigSchema } from '@bonafide/shared/http/health-config';
import { createHealthListener } from './health-listener.js';

/** Those of this process that listen there. */
function openServers(ports: readonly number[]): readonly Server[] {
  const handles = (process as unknown as { _getActiveHandles(): readonly unknown[] })._getActiveHandles();
  const found = handles.filter(
    (handle): handle is Server =>
      handle instanceof Server && ports.includes((handle.address() as AddressInfo).port),
  );
  expect(found).toHaveLength(ports.length);
  return found;
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

describe('health over HTTP', () => {
  it('outlives connections that cannot be accepted', async () => {
    const health = { problem: () => undefined };
    const config = healthConfigSchema.parse({ bind_address: '127.0.0.1', bind_port: 0 });
    const listener = createHealthListener(config, { health, log: silentLogger });
    closers.push(() => {
      listener.close();
    });
    const port = await listener.listen();
    const probes = await listenForProbes({
      ...{ address: '127.0.0.1', port: 0, livenessPath: '/live', readinessPath: '/ready', helpers: [] },
    });
    closers.push(() => {
      probes.close();
    });
    const { port: probed } = probes.address() as AddressInfo;
    for (const server of openServers([port, probed])) {
      for (let failed = 0; failed < 3; failed += 1) server.emit('error', new Error('accept EMFILE'));
    }
    for (const each of [port, probed]) {
      expect((await fetch(`http://127.0.0.1:${each}/live`)).status).toBe(200);
    }
  });

  it('is live always, and ready with an identity, out of quarantine, while it serves', async () => {
    const authority = await TestAuthority.create('example.org');
    const svid = await authority.issueX509Svid('/agent');
    const expired = { ...svid, notAfter: new Date(0) };
    let [present, isServing, isQuarantined] = [undefined as typeof svid | undefined, false, false];
    const health = new AgentHealth({
      agentSvid: () => present,
      isServing: () => isServing,
      isQuarantined: () => isQuarantined,
      sync: { isConnected: false, lastSyncAt: undefined },
      clock: systemClock,
    });
    const config = healthConfigSchema.parse({
      listener_enabled: true,
      bind_address: '127.0.0.1',
      bind_port: '0',
    });
    const listener = createHealthListener(config, { health, log: silentLogger });
    closers.push(() => {
      listener.close();
    });
    const base = `http://127.0.0.1:${await listener.listen()}`;
    const ask = async (path: string): Promise<unknown> => {
      const response = await fetch(base + path);
      return [response.status, response.status === 404 ? undefined : await response.json()];
    };
    expect(await ask('/live')).toEqual([200, { agent: {} }]);
    const says = (problem: string): unknown => [500, { agent: { make_new_x509_err: problem } }];
    expect(await ask('/ready')).toEqual(says('the agent has no identity yet'));
    present = expired;
    expect(await ask('/ready')).toEqual(says("the agent's own SVID has expired"));
    present = svid;
    expect(await ask('/ready')).toEqual(says('the Workload API is not served yet'));
    isServing = true;
    expect(await ask('/ready')).toEqual([200, { agent: {} }]);
    isQuarantined = true;
    expect(await ask('/ready')).toEqual(says('this node is in quarantine'));
    expect(await ask('/other')).toEqual([404, undefined]);
  });

  it.each([{ live_path: 'live' }, { bind_port: 70_000 }, { live_path: '/ready' }, { path: '/' }])(
    'refuses %j',
    (wrong) => {
      expect(healthConfigSchema.safeParse(wrong).success).toBe(false);
    },
  );
});

describe('switches of local APIs', () => {
  it('refuse what is off, and say so', () => {
    const check = checkSwitches(apiSwitchesSchema.parse({ jwt: false, sds: false }));
    const answer = (path: string): unknown =>
      check({ path, metadata: new Metadata(), peer: undefined })?.message;
    expect(answer('/SpiffeWorkloadAPI/FetchJWTSVID')).toContain('apis.jwt is false');
    expect(answer('/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets')).toContain(
      'apis.sds is false',
    );
    expect(answer('/SpiffeWorkloadAPI/FetchX509SVID')).toBeUndefined();
    expect(answer('/SpiffeWorkloadAPI/ValidateJWTSVID')).toBeUndefined();
    expect(apiSwitchesSchema.safeParse({ jwts: false }).success).toBe(false);
  });
});
