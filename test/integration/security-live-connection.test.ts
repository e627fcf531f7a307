import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const SVID = 'spire.api.server.svid.v1.SVID';

describe('a connection that was made with a good SVID (invariant 10)', () => {
  it('is of no use once that SVID has been superseded', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const entryId = await server.createEntry(agent.spiffeId, '/web');
    const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
    const client = await server.remote(SVID, agent);
    const ask = () => callUnary(client, 'BatchNewX509SVID', { params: [{ entryId, csr }] });
    expect((await ask()).results[0]?.status?.code).toBe(0);
    const renewed = await server.renew(agent);
    expect((await ask()).results[0]?.status?.code).toBe(0); // both are good until the new one is seen
    await callUnary(await server.remote(AGENT, renewed), 'PostStatus', {});
    await expect(ask()).rejects.toMatchObject({ reason: 'agent_not_active' });
  });

  it('is of no use once that SVID has expired', async () => {
    const clock = new FakeClock(new Date());
    await using server = await InProcessServer.start({ clock, config: { server: { agent_ttl: '1h' } } });
    const agent = await server.attestNew();
    const client = await server.remote(AGENT, agent);
    expect(await callUnary(client, 'PostStatus', {})).toEqual({});
    await clock.advance(3_601_000);
    await expect(callUnary(client, 'PostStatus', {})).rejects.toMatchObject({ reason: 'agent_expired' });
  });

  it('is of no use to an admin whose entry has lost its right, and of use again when it has it back', async () => {
    await using server = await InProcessServer.start();
    const id = await server.createEntry('spiffe://example.org/rack', '/operator', { admin: true });
    const client = await server.remote(AGENT, await server.mint('spiffe://example.org/operator'));
    const entries = server.local('spire.api.server.entry.v1.Entry');
    for (const admin of [true, false, true]) {
      await callUnary(entries, 'BatchUpdateEntry', { entries: [{ id, admin }], inputMask: { admin: true } });
      const count = callUnary(client, 'CountAgents', {});
      if (admin) expect(await count).toEqual({ count: 0 });
      else await expect(count).rejects.toMatchObject({ reason: 'permission_denied' });
    }
  });
});
