import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { grpcFrame, RawHttp2Client } from './raw-http2-client.js';
import { InProcessServer } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const { Watch } = loadService('bonafide.sync.v1.Sync').definition;

describe('an agent that does not read what it is sent', () => {
  it.each(['BanAgent', 'DeleteAgent'] as const)(
    'loses its connection within seconds after %s (invariant 5)',
    async (method) => {
      await using server = await InProcessServer.start();
      const agent = await server.attestNew();
      const id = { trustDomain: 'example.org', path: new URL(agent.spiffeId).pathname };
      // More than the 64 KiB that HTTP/2 lets the server send to a stream that is not read.
      await callUnary(server.local(ENTRY), 'BatchCreateEntry', {
        entries: Array.from({ length: 2000 }, (_, index) => ({
          spiffeId: { trustDomain: 'example.org', path: `/workload/${index}` },
          parentId: id,
          selectors: [{ type: 'unix', value: `uid:${index}` }],
        })),
      });
      using deaf = await RawHttp2Client.connect(server.port, agent);
      const stream = deaf.open(Watch.path);
      stream.write(grpcFrame(Watch.requestSerialize({ hello: { agentVersion: '1.0.0' } })));
      await waitFor('the stream to be full', () => stream.readableLength > 16_000);

      await callUnary(server.local(AGENT), method, { id });
      await waitFor('the connection to be cut', () => deaf.session.destroyed);
      expect(await server.createToken()).not.toBe('');
    },
  );
});
