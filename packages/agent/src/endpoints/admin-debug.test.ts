import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { describe, expect, it } from 'vitest';
import { sampleEntry, sampleSvid } from '../svid-cache/cache-samples.js';
import { addDebugService } from './admin-debug.js';

const SERVICE = 'spire.agent.debug.v1.Debug';

describe('the Debug service of the agent', () => {
  it('tells of its SVID up to the authority, of its age, and of what it holds for whom', async () => {
    using directory = createTemporaryDirectory();
    const authority = await TestAuthority.create('example.org');
    const svid = await authority.issueX509Svid('/spire/agent/test');
    const clock = new FakeClock();
    const entries = [
      sampleEntry('web', ['unix:uid:1']),
      sampleEntry('db', ['unix:uid:2']),
      sampleEntry('stored', ['unix:uid:3'], { storesSvid: true }),
    ];
    const server = new Server();
    addDebugService(server, {
      trustDomain: authority.trustDomain,
      agentSvid: () => svid,
      lastSyncAt: () => new Date(1_893_456_000_000),
      cache: {
        bundle: () => authority.bundle(),
        holdings: () => [
          ...entries.map((entry) => ({ entry, svid: sampleSvid(entry), isInUse: false })),
          { entry: sampleEntry('waiting', ['unix:uid:4']), svid: undefined, isInUse: false },
        ],
      },
      jwtSvids: { size: 5 },
      clock,
      log: silentLogger,
    });
    const address = `unix:${directory.join('debug.sock')}`;
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    const { Client } = loadService(SERVICE);
    const client = new Client(address, credentials.createInsecure());
    try {
      await clock.advance(93_784_000);
      const info = await callUnary(client, 'GetInfo', {}, {});
      expect(info).toMatchObject({
        uptime: 93_784,
        lastSyncSuccess: 1_893_456_000,
        svidsCount: 2,
        cachedX509SvidsCount: 2,
        cachedSvidstoreX509SvidsCount: 1,
        cachedJwtSvidsCount: 5,
      });
      expect(info.svidChain.map(({ id }) => id)).toEqual([
        { trustDomain: 'example.org', path: '/spire/agent/test' },
        { trustDomain: 'example.org', path: '' },
      ]);
    } finally {
      client.close();
      server.forceShutdown();
    }
  });
});
