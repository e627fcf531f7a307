import { mkdirSync, statSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Peer } from '../access/peer.js';
import { verifyPeer } from '../access/verify-peer.js';
import { AdminListener, prepareSocketFolder } from './admin-listener.js';
import { TlsListener } from './tls-listener.js';

let authority: TestAuthority;
let serverSvid: X509Svid;
const cleanUps: (() => void)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  serverSvid = await authority.issueX509Svid('/spire/server');
});

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** Answers each connection with who it is. */
async function startTls(bundle?: TrustBundle): Promise<{ listener: TlsListener; port: number }> {
  const { trustDomain } = authority;
  const listener = new TlsListener({
    address: '127.0.0.1',
    port: 0,
    identity: serverSvid,
    maximumConnections: 100,
    verifyClient: (chain) =>
      verifyPeer(chain, new Date(), {
        trustDomain,
        mayBeAdmin: () => false,
        bundle: () => bundle ?? authority.bundle(),
      }),
    onConnection: (socket, peer) => {
      socket.end(describePeer(peer));
    },
    clock: systemClock,
    log: silentLogger,
  });
  cleanUps.push(() => {
    listener.stopAccepting();
    listener.destroyConnections();
  });
  return { listener, port: await listener.listen() };
}

function describePeer(peer: Peer): string {
  if (peer.kind === 'local') return `uid ${peer.uid} pid ${peer.pid}`;
  return `${peer.address} ${peer.svid?.spiffeId ?? 'nobody'}`;
}

function tlsIdentity(svid: X509Svid): ConnectionOptions {
  return {
    cert: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
  };
}

function dial(port: number, options: ConnectionOptions = {}): TLSSocket {
  return connect({
    port,
    host: '127.0.0.1',
    ALPNProtocols: ['h2'],
    ca: encodePem('CERTIFICATE', authority.certificate),
    checkServerIdentity: () => undefined,
    ...options,
  });
}

async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  socket.on('error', () => (text += ' (error)'));
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

describe('TlsListener', () => {
  it('serves clients without a certificate as nobody', async () => {
    const { port } = await startTls();
    expect(await heard(dial(port))).toBe('127.0.0.1 nobody');
  });

  it('names clients whose certificate leads to the bundle, over TLS 1.2 and 1.3, through intermediates too', async () => {
    const { port } = await startTls();
    const svid = tlsIdentity(await authority.issueX509Svid('/web'));
    const intermediate = await authority.createIntermediate();
    const below = tlsIdentity(await intermediate.issueX509Svid('/below'));
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      expect(await heard(dial(port, { ...svid, maxVersion }))).toBe('127.0.0.1 spiffe://example.org/web');
      expect(await heard(dial(port, { ...below, maxVersion }))).toBe('127.0.0.1 spiffe://example.org/below');
    }
  });

  it('verifies by an authority that is not self-signed', async () => {
    const intermediate = await authority.createIntermediate();
    const { port } = await startTls({
      ...authority.bundle(),
      x509Authorities: [{ certificate: intermediate.certificate, isTainted: false }],
    });
    const svid = tlsIdentity(await intermediate.issueX509Svid('/web'));
    expect(await heard(dial(port, svid))).toBe('127.0.0.1 spiffe://example.org/web');
  });

  it('cuts a client whose certificate leads elsewhere, has expired or has no SPIFFE ID, before it is served (invariant 3)', async () => {
    const { port } = await startTls();
    const stranger = await TestAuthority.create('example.org');
    const past = { notBefore: new Date(Date.now() - 7_200_000), notAfter: new Date(Date.now() - 3_600_000) };
    const identities = [
      await stranger.issueX509Svid('/web'),
      await authority.issueX509Svid('/web', past),
      await authority.issueX509Svid('/web', { certificate: { uriNames: [] } }),
      await authority.issueX509Svid('spiffe://other.test/web'),
    ];
    for (const identity of identities) {
      expect(await heard(dial(port, tlsIdentity(identity)))).not.toContain('127.0.0.1');
    }
  });

  it('refuses what is not HTTP/2, what is not TLS, and TLS 1.1', async () => {
    const { port } = await startTls();
    expect(await heard(dial(port, { ALPNProtocols: [] }))).not.toContain('127.0.0.1');
    expect(await heard(dial(port, { ALPNProtocols: ['http/1.1'] }))).not.toContain('127.0.0.1');
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    expect(await heard(dial(port, old))).toBe(' (error)');
    const plain = connectPlain(port, '127.0.0.1');
    plain.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(await heard(plain)).not.toContain('127.0.0.1');
  });

  it('never resumes a session (invariant 10)', async () => {
    const { port } = await startTls();
    const svid = tlsIdentity(await authority.issueX509Svid('/web'));
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const sessions: Buffer[] = [];
      const first = dial(port, { ...svid, maxVersion });
      first.on('session', (session: Buffer) => sessions.push(session));
      await heard(first);
      const held = first.getSession();
      for (const session of [...sessions, ...(held === undefined ? [] : [held])]) {
        const second = dial(port, { ...svid, maxVersion, session });
        let isReused: boolean | undefined;
        second.once('secureConnect', () => (isReused = second.isSessionReused()));
        const text = await heard(second);
        expect(isReused).toBe(false);
        expect(text).toBe('127.0.0.1 spiffe://example.org/web');
      }
    }
  });

  it('shows a new certificate to new connections from the moment it is updated, and keeps the old one when the new is bad', async () => {
    const { listener, port } = await startTls();
    const shown = async (): Promise<string | undefined> => {
      const socket = dial(port);
      await once(socket, 'secureConnect');
      const serial = socket.getPeerX509Certificate()?.serialNumber;
      socket.destroy();
      return serial;
    };
    const before = await shown();
    const renewed = await authority.issueX509Svid('/spire/server');
    listener.update(renewed);
    const after = await shown();
    expect(after).not.toBe(before);
    expect(() => {
      listener.update({ certificateChain: renewed.certificateChain, privateKey: serverSvid.privateKey });
    }).toThrow();
    expect(await shown()).toBe(after);
  });

  it('says which address it cannot have', async () => {
    const { port } = await startTls();
    const second = new TlsListener({
      address: '127.0.0.1',
      port,
      identity: serverSvid,
      maximumConnections: 1,
      verifyClient: () => {
        throw new Error('nobody calls');
      },
      onConnection: () => undefined,
      clock: systemClock,
      log: silentLogger,
    });
    await expect(second.listen()).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`);
  });
});

describe('AdminListener', () => {
  it('makes a folder for its owner alone and names its callers by what the kernel says', async () => {
    using directory = createTemporaryDirectory();
    const socketPath = directory.join('private', 'api.sock');
    const listener = new AdminListener({
      socketPath,
      maximumConnections: 10,
      onConnection: (socket, peer) => {
        socket.end(describePeer(peer));
      },
      log: silentLogger,
    });
    const uids = await prepareSocketFolder(socketPath);
    expect([...uids]).toEqual(expect.arrayContaining([0, process.geteuid?.() ?? 0]));
    await listener.listen();
    expect(statSync(directory.join('private')).mode & 0o777).toBe(0o700);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(await heard(connectPlain(socketPath))).toBe(`uid ${process.getuid?.() ?? -1} pid ${process.pid}`);
    listener.stopAccepting();
    await waitFor('the socket file to go', () => !isThere(socketPath));
  });

  it('cuts its connections when told to', async () => {
    using directory = createTemporaryDirectory();
    mkdirSync(directory.join('private'));
    const socketPath = directory.join('private', 'api.sock');
    const listener = new AdminListener({
      socketPath,
      maximumConnections: 10,
      onConnection: () => undefined,
      log: silentLogger,
    });
    await listener.listen();
    const socket = connectPlain(socketPath);
    await once(socket, 'connect');
    listener.stopAccepting();
    const closed = heard(socket);
    await waitFor('the connection to be cut', () => {
      listener.destroyConnections();
      return socket.closed;
    });
    await closed;
  });
});

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
