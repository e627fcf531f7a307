import { credentials, Metadata } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { requireSecurityHeader } from '../endpoints/peer-interceptor.js';
import { decodeSecret, SDS, SdsSetup, secretNames, serialIn, serialOf } from './sds-samples.js';

let authority: TestAuthority;
let web: X509Svid;
let api: X509Svid;
let sds: SdsSetup;

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  web = await authority.issueX509Svid('/web');
  api = await authority.issueX509Svid('/api');
});
beforeEach(async () => {
  sds = await SdsSetup.listen(authority);
});
afterEach(async () => {
  await sds.close();
});

describe('secret streams', () => {
  it('ends well when the client has said all, and with the agent otherwise', async () => {
    sds.grant([web]);
    const done = sds.openWhole();
    await done.ask({ resourceNames: ['default'] });
    await done.next();
    done.end();
    expect((await done.messages.next()).done).toBe(true);
    const open = sds.openWhole();
    await open.ask({ resourceNames: ['default'] });
    await open.next();
    const closed = sds.endpoint.close(2000);
    await expect(open.next()).rejects.toMatchObject({ reason: 'unavailable' });
    await closed;
    expect(sds.identities.subscriberCount).toBe(0);
  });

  it('refuses another type, other ways of naming, too many names and too long ones', async () => {
    sds.grant([web]);
    for (const request of [
      { typeUrl: 'type.googleapis.com/envoy.config.listener.v3.Listener' },
      { resourceLocators: [{ name: 'default' }] },
      { resourceNames: Array.from({ length: 1001 }, (_, index) => String(index)) },
      { resourceNames: ['x'.repeat(2049)] },
    ]) {
      const stream = sds.openWhole();
      await stream.ask(request);
      await expect(stream.next()).rejects.toMatchObject({ reason: 'invalid_argument' });
      await expect(callUnary(sds.client, 'FetchSecrets', request)).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    }
    expect(sds.identities.subscriberCount).toBe(0);
  });

  it('cuts off a flood of requests, and only that stream', async () => {
    sds.grant([web]);
    const calm = sds.openWhole();
    await calm.ask({ resourceNames: ['default'] });
    await calm.next();
    const flood = sds.openWhole();
    const outcome = expect(
      (async () => {
        for (;;) await flood.next();
      })(),
    ).rejects.toMatchObject({ reason: 'resource_exhausted' });
    for (let sent = 0; sent < 2000; sent += 1) {
      const isOver = await flood.ask({ resourceNames: ['default'], responseNonce: 'x' }).then(
        () => false,
        () => true,
      );
      if (isOver) break;
    }
    await outcome;
    sds.grant([api]);
    expect(serialIn((await calm.next()).secrets[0])).toBe(serialOf(api));
  });

  it('counts towards the streams that one user may have', async () => {
    sds.grant([web]);
    const streams = Array.from({ length: 50 }, () => sds.openWhole());
    for (const stream of streams) {
      await stream.ask({ resourceNames: ['default'] });
      await stream.next();
    }
    await expect(sds.openWhole().next()).rejects.toMatchObject({ reason: 'resource_exhausted' });
    streams[0]?.cancel();
    await waitFor('one to be given back', async () => {
      const again = sds.openWhole();
      await again.ask({ resourceNames: ['default'] });
      return secretNames(await again.next()).length === 1;
    });
  });
});

describe('FetchSecrets', () => {
  it('answers once, and refuses what no entry grants', async () => {
    sds.grant([web]);
    const { resources, nonce } = await callUnary(sds.client, 'FetchSecrets', {
      resourceNames: ['default', 'ROOTCA'],
    });
    expect(resources.map((resource) => decodeSecret(resource).name)).toEqual(['default', 'ROOTCA']);
    expect(nonce).toBe('');
    await expect(
      callUnary(sds.client, 'FetchSecrets', { resourceNames: ['spiffe://example.org/api'] }),
    ).rejects.toMatchObject({ reason: 'invalid_argument' });
    expect(sds.identities.subscriberCount).toBe(0);
  });
});

describe('whatever else is served on the socket', () => {
  it('still demands the security header', async () => {
    const { Client, definition } = loadService('SpiffeWorkloadAPI');
    const workload = new Client(`unix://${sds.socketPath}`, credentials.createInsecure());
    sds.atEnd(() => {
      workload.close();
    });
    for (const { path } of Object.values(definition)) {
      const details = await new Promise((resolve) => {
        const bytes = (message: Buffer): Buffer => message;
        workload.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), (error) => {
          resolve(error?.details);
        });
      });
      expect(details, path).toContain('security header missing from request');
    }
  });

  it.each([
    '/envoy.service.secret.v3.SecretDiscoveryServiceX/FetchSecrets',
    '/envoy.service.secret.v3.SecretDiscoveryService',
    '/envoy.service.secret.v3/SpiffeWorkloadAPI/FetchX509SVID',
    '/SpiffeWorkloadAPI/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets',
    'envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets',
  ])('is not exempt for a path like %s', (path) => {
    const check = { path, metadata: new Metadata(), peer: undefined };
    expect(requireSecurityHeader(check)).toMatchObject({ reason: 'invalid_argument' });
    expect(requireSecurityHeader({ ...check, path: `/${SDS}/FetchSecrets` })).toBeUndefined();
  });
});
