import { connect } from 'node:net';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

const SVID = 'spire.api.server.svid.v1.SVID';
const AGENT = 'spire.api.server.agent.v1.Agent';

function repeated<T>(count: number, item: T): T[] {
  return Array.from({ length: count }, () => item);
}

describe('what one caller may ask for', () => {
  it('limits attestation per address: a short wait, then a refusal that says when to come back', async () => {
    await using server = await InProcessServer.start({
      config: { server: { ratelimit: { attestation: true, attestation_per_second: 1 } } },
    });
    const tokens = await Promise.all(Array.from({ length: 9 }, () => server.createToken()));
    const started = performance.now();
    await server.attest(tokens[0] ?? '');
    const outcomes = await Promise.allSettled(tokens.slice(1).map((token) => server.attest(token)));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(8);
    for (const { reason } of refused) {
      expect(hasReason(reason, 'resource_exhausted') && reason.retryAfterMs).toBeGreaterThan(0);
    }
  });

  it('limits signing per address, and does not limit callers behind a trusted proxy', async () => {
    const limited = { ratelimit: { signing: true, signing_per_second: 5 } };
    for (const trustedProxies of [[], ['127.0.0.0/8']]) {
      await using server = await InProcessServer.start({
        config: { server: { ...limited, trusted_proxies: trustedProxies } },
      });
      const agent = await server.attestNew();
      const entryId = await server.createEntry(agent.spiffeId, '/web');
      const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
      const client = await server.remote(SVID, agent);
      const six = callUnary(client, 'BatchNewX509SVID', { params: repeated(6, { entryId, csr }) });
      if (trustedProxies.length === 0) await expect(six).rejects.toThrow('rate (6) exceeds burst size (5)');
      else expect((await six).results).toHaveLength(6);
    }
  });

  it('signs at most 500 at a time, each with an outcome of its own', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const other = await server.attestNew();
    const mine = await server.createEntry(agent.spiffeId, '/mine');
    const theirs = await server.createEntry(other.spiffeId, '/theirs');
    const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
    const client = await server.remote(SVID, agent);
    const { results } = await callUnary(client, 'BatchNewX509SVID', {
      params: [
        { entryId: mine, csr },
        { entryId: theirs, csr },
        { entryId: 'nonsense', csr },
        { entryId: '', csr },
        { entryId: mine },
        { entryId: mine, csr: Buffer.from('nonsense') },
        { entryId: mine, csr },
      ],
    });
    expect(results.map(({ status }) => status?.code)).toEqual([0, 5, 5, 3, 3, 3, 0]);
    expect(results.map(({ status }) => status?.message).slice(0, 5)).toEqual([
      'OK',
      'entry not found or not authorized',
      'entry not found or not authorized',
      'missing entry ID',
      'missing CSR',
    ]);
    expect(results.map(({ svid }) => svid?.id?.path)).toEqual([
      '/mine',
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      '/mine',
    ]);
    const many = repeated(500, { entryId: mine, csr });
    expect((await callUnary(client, 'BatchNewX509SVID', { params: many })).results).toHaveLength(500);
    await expect(
      callUnary(client, 'BatchNewX509SVID', { params: [...many, { entryId: mine, csr }] }),
    ).rejects.toSatisfy((error) => hasReason(error, 'resource_exhausted'));
    await expect(callUnary(client, 'BatchNewX509SVID', {})).rejects.toThrow('missing parameters');
  });

  it('refuses a message that is too large, and goes on serving (invariant 7)', async () => {
    await using server = await InProcessServer.start();
    const client = server.local(AGENT);
    await expect(
      callUnary(client, 'CreateJoinToken', { ttl: 1, token: 'x'.repeat(5 * 1024 * 1024) }),
    ).rejects.toSatisfy((error) => hasReason(error, 'resource_exhausted'));
    expect(await server.createToken()).not.toBe('');
  });

  it('survives what is not gRPC at all (invariant 7)', async () => {
    await using server = await InProcessServer.start();
    for (const bytes of [
      Buffer.alloc(70_000, 0xff),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(0),
    ]) {
      for (const address of [{ port: server.port, host: '127.0.0.1' }, { path: server.socketPath }]) {
        await new Promise<void>((resolve) => {
          const socket = connect(address, () => socket.end(bytes));
          socket.on('error', () => undefined); // cut, as it deserves
          socket.on('close', () => {
            resolve();
          });
          socket.resume();
        });
      }
    }
    expect(await server.createToken()).not.toBe('');
  });
});
