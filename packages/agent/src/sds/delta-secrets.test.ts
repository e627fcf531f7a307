import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { SdsSetup } from './sds-samples.js';

let authority: TestAuthority;
let other: TestAuthority;
let web: X509Svid;
let api: X509Svid;
let sds: SdsSetup;

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  other = await TestAuthority.create('other.example');
  web = await authority.issueX509Svid('/web');
  api = await authority.issueX509Svid('/api');
});
beforeEach(async () => {
  sds = await SdsSetup.listen(authority);
});
afterEach(async () => {
  await sds.close();
});

describe('DeltaSecrets', () => {
  it('sends what is subscribed to, then only what changes', async () => {
    sds.grant([web, api]);
    const stream = sds.openDelta();
    await stream.ask({ resourceNamesSubscribe: ['default', 'ROOTCA'] });
    const first = await stream.next();
    expect(first.names).toEqual(['default', 'ROOTCA']);
    await stream.ask({ responseNonce: first.nonce });
    sds.grant([await authority.issueX509Svid('/web'), api]);
    const second = await stream.next();
    expect(second).toMatchObject({ names: ['default'], removed: [] });
    expect(second.versions['default']).not.toBe(first.versions['default']);
    await stream.ask({ responseNonce: second.nonce, resourceNamesSubscribe: ['spiffe://example.org/api'] });
    expect((await stream.next()).names).toEqual(['spiffe://example.org/api']);
    await stream.ask({ resourceNamesUnsubscribe: ['default'] });
    sds.grant([await authority.issueX509Svid('/web'), await authority.issueX509Svid('/api')]);
    expect((await stream.next()).names).toEqual(['spiffe://example.org/api']);
  });

  it('tells once of what is not there or no more, and sends it when it comes', async () => {
    sds.grant([]);
    const stream = sds.openDelta();
    await stream.ask({ resourceNamesSubscribe: ['default', 'spiffe://example.org/api'] });
    expect(await stream.next()).toMatchObject({
      names: [],
      removed: ['default', 'spiffe://example.org/api'],
    });
    sds.grant([web]);
    expect(await stream.next()).toMatchObject({ names: ['default'], removed: [] });
    sds.grant([]);
    expect(await stream.next()).toMatchObject({ names: [], removed: ['default'] });
    sds.grant([api]);
    expect(await stream.next()).toMatchObject({ names: ['default', 'spiffe://example.org/api'] });
  });

  it.each([
    ['no name in the first request', {}],
    ['a star', { resourceNamesSubscribe: ['*'] }],
  ])('follows all there is for %s', async (_name, request) => {
    sds.grant([web]);
    const stream = sds.openDelta();
    await stream.ask(request);
    expect((await stream.next()).names).toEqual(['spiffe://example.org', 'spiffe://example.org/web']);
    sds.grant([api], other);
    expect(await stream.next()).toMatchObject({
      names: ['spiffe://other.example', 'spiffe://example.org/api'],
      removed: ['spiffe://example.org/web'],
    });
    await stream.ask({ resourceNamesUnsubscribe: ['*'], resourceNamesSubscribe: ['default'] });
    expect((await stream.next()).names).toEqual(['default']);
    sds.grant([web]);
    expect(await stream.next()).toMatchObject({ names: ['default'], removed: [] });
  });

  it('answers a request for everything even when there is nothing', async () => {
    sds.identities.set({ entries: [], bundles: [] });
    const stream = sds.openDelta();
    await stream.ask({});
    expect(await stream.next()).toMatchObject({ names: [], removed: [] });
  });

  it('tells whoever unsubscribes from one of all what became of it', async () => {
    sds.grant([web]);
    const stream = sds.openDelta();
    await stream.ask({ resourceNamesSubscribe: ['*', 'spiffe://example.org/web', 'default'] });
    expect((await stream.next()).names).toHaveLength(3);
    await stream.ask({ resourceNamesUnsubscribe: ['spiffe://example.org/web', 'default'] });
    expect(await stream.next()).toMatchObject({ names: ['spiffe://example.org/web'], removed: ['default'] });
  });

  it('does not send again what the client brought from an earlier stream, but tells what is gone', async () => {
    sds.grant([web, api]);
    const before = sds.openDelta();
    await before.ask({ resourceNamesSubscribe: ['default', 'spiffe://example.org/api', 'ROOTCA'] });
    const { versions } = await before.next();
    before.cancel();
    sds.grant([await authority.issueX509Svid('/web')]);
    const stream = sds.openDelta();
    await stream.ask({
      resourceNamesSubscribe: ['default', 'spiffe://example.org/api', 'ROOTCA'],
      initialResourceVersions: versions,
    });
    expect(await stream.next()).toMatchObject({ names: ['default'], removed: ['spiffe://example.org/api'] });
    await stream.ask({ resourceNamesSubscribe: ['ROOTCA'] });
    expect(await stream.next()).toMatchObject({ names: ['ROOTCA'], removed: [] });
  });

  it('logs a refusal and does not repeat what was refused', async () => {
    sds.grant([web]);
    const stream = sds.openDelta();
    await stream.ask({ resourceNamesSubscribe: ['default'] });
    const { nonce } = await stream.next();
    await stream.ask({ responseNonce: nonce, errorDetail: { code: 3, message: 'no' } });
    await waitFor('the log to tell', () => sds.warnings.length > 0);
    sds.grant([api]);
    expect((await stream.next()).names).toEqual(['default']);
  });

  it('bounds the names of one stream, over all of its requests', async () => {
    sds.grant([web]);
    const stream = sds.openDelta();
    const some = (from: number) => Array.from({ length: 600 }, (_, index) => `name ${from + index}`);
    await stream.ask({ resourceNamesSubscribe: some(0) });
    expect((await stream.next()).removed).toHaveLength(600);
    await stream.ask({ resourceNamesSubscribe: some(600) });
    await expect(stream.next()).rejects.toMatchObject({ reason: 'resource_exhausted' });
  });
});
