import { once } from 'node:events';
import { connect } from 'node:tls';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const HOUR_MS = 3_600_000;

/** The issuer of the certificate that the TLS port shows to who connects now. */
async function shownAuthority(server: InProcessServer): Promise<string | undefined> {
  const socket = connect({
    port: server.port,
    host: '127.0.0.1',
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const shown = socket.getPeerX509Certificate();
  socket.destroy();
  return shown && parseX509Certificate(shown.raw).authorityKeyId;
}

async function bundleIds(server: InProcessServer): Promise<(string | undefined)[]> {
  const { x509Authorities } = await callUnary(server.local(BUNDLE), 'GetBundle', {});
  return x509Authorities.map(({ asn1 }) => parseX509Certificate(asn1).subjectKeyId);
}

describe('rotation under a running server', () => {
  it('shows the new certificate, still knows agents of the old authority, and refuses them once it has expired', async () => {
    // It began 21 hours ago, so that what it issues is valid by the real time too, by which clients judge it.
    const clock = new FakeClock(new Date(Date.now() - 21 * HOUR_MS));
    await using server = await InProcessServer.start({
      clock,
      config: { server: { ca_ttl: '24h', default_x509_svid_ttl: '24h', agent_ttl: '24h' } },
    });
    const agent = await server.attestNew();
    const [first] = await bundleIds(server);
    expect(await shownAuthority(server)).toBe(first);
    const before = await server.remote(AGENT, agent);
    await callUnary(before, 'PostStatus', {});

    await clock.advance(21 * HOUR_MS);
    await waitFor('the authority to be replaced', async () => (await shownAuthority(server)) !== first);
    const [, second] = await bundleIds(server);
    expect(await shownAuthority(server)).toBe(second);
    await callUnary(before, 'PostStatus', {});
    await callUnary(await server.remote(AGENT, agent), 'PostStatus', {});

    // The connection lives on, but the identity it was made with has ended: it is checked with each call.
    await clock.advance(3 * HOUR_MS + 60_000);
    await expect(callUnary(before, 'PostStatus', {})).rejects.toMatchObject({ reason: 'agent_expired' });
    await expect(callUnary(await server.remote(AGENT, agent), 'PostStatus', {})).rejects.toMatchObject({
      reason: 'unavailable',
    });
  });

  it('goes on where it stopped: authority, agents and entries are there after a restart', async () => {
    using directory = createTemporaryDirectory();
    const first = await InProcessServer.start({ directory });
    const agent = await first.attestNew();
    const entryId = await first.createEntry(agent.spiffeId, '/web');
    const bundle = await bundleIds(first);
    await first.stop();

    await using second = await InProcessServer.start({ directory });
    expect(await bundleIds(second)).toEqual(bundle);
    const { entries } = await callUnary(
      await second.remote('spire.api.server.entry.v1.Entry', agent),
      'GetAuthorizedEntries',
      {},
    );
    expect(entries.map(({ id }) => id)).toEqual([entryId]);
  });

  it('says that the socket is taken when a server runs already, and leaves that one alone', async () => {
    using directory = createTemporaryDirectory();
    await using first = await InProcessServer.start({ directory });
    const otherData = { server: { data_dir: directory.join('other') } };
    await expect(InProcessServer.start({ directory, config: otherData })).rejects.toThrow(
      'another process listens on',
    );
    expect(await first.createToken()).not.toBe('');
  });

  it('leaves nothing behind when it cannot start', async () => {
    await using first = await InProcessServer.start();
    using directory = createTemporaryDirectory();
    const taken = { server: { bind_port: first.port } };
    await expect(InProcessServer.start({ directory, config: taken })).rejects.toThrow(
      'cannot listen on 127.0.0.1',
    );
    await using second = await InProcessServer.start({ directory });
    expect(await second.createToken()).not.toBe('');
    const tooLong = { server: { socket_path: directory.join('x'.repeat(120)) } };
    await expect(InProcessServer.start({ config: tooLong })).rejects.toThrow(
      'bytes too long; at most 107 bytes are accepted',
    );
  });
});
