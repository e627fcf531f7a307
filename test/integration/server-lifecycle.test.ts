import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

describe('the server, from attestation to delivery', () => {
  it('attests an agent by join token, signs for its entries and tells it of changes', async () => {
    await using server = await InProcessServer.start();
    const token = await server.createToken();
    const agent = await server.attest(token);
    expect(agent.spiffeId).toBe(`spiffe://example.org/spire/agent/join_token/${token}`);
    const entryId = await server.createEntry(agent.spiffeId, '/web', { dnsNames: ['web.example.org'] });

    const key = await generatePrivateKey('ec-p256');
    const csr = await createCertificateSigningRequest(key, { uriNames: ['spiffe://example.org/admin'] });
    const signing = await server.remote('spire.api.server.svid.v1.SVID', agent);
    const { results } = await callUnary(signing, 'BatchNewX509SVID', { params: [{ entryId, csr }] });
    const [leaf] = results[0]?.svid?.certChain ?? [];
    const certificate = parseX509Certificate(leaf ?? Buffer.alloc(0));
    expect(certificate.spiffeId).toBe('spiffe://example.org/web');
    expect(certificate.dnsNames).toEqual(['web.example.org']);

    const watch = openBidiStream(await server.remote('bonafide.sync.v1.Sync', agent), 'Watch');
    await watch.send({ hello: { agentVersion: '1.2.3' } });
    const snapshot = (await watch.messages.next()).value;
    expect(snapshot?.snapshotPage?.entries.map(({ id }) => id)).toEqual([entryId]);
    const second = await server.createEntry(agent.spiffeId, '/db');
    const delta = (await watch.messages.next()).value;
    expect(delta?.delta?.upsertedEntries.map(({ id }) => id)).toEqual([second]);
    watch.cancel();
  });
});
