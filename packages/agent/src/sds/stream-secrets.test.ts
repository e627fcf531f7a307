import { X509Certificate } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { loadMessage } from '@bonafide/shared/rpc/load-message';
import { OLD_ENVOY, SdsSetup, secretNames, serialIn, serialOf } from './sds-samples.js';

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

describe('StreamSecrets', () => {
  it('serves the SVID by its default name, and again when it rotates, with a new version', async () => {
    sds.grant([web]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['default'] });
    const first = await stream.next();
    expect(secretNames(first)).toEqual(['default']);
    expect(serialIn(first.secrets[0])).toBe(serialOf(web));
    await stream.ask({ resourceNames: ['default'], versionInfo: first.version, responseNonce: first.nonce });
    const renewed = await authority.issueX509Svid('/web');
    sds.grant([renewed]);
    const second = await stream.next();
    expect(serialIn(second.secrets[0])).toBe(serialOf(renewed));
    expect(second.version).not.toBe(first.version);
    expect(second.nonce).not.toBe(first.nonce);
    expect(sds.attestations).toBe(1);
  });

  it('serves everything under SPIFFE IDs when no name is given', async () => {
    sds.grant([web, api, await authority.issueX509Svid('/web')], other);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: [''] });
    expect(secretNames(await stream.next())).toEqual([
      'spiffe://example.org',
      'spiffe://other.example',
      'spiffe://example.org/web',
      'spiffe://example.org/api',
    ]);
  });

  it('serves each name that is asked for, even two for the same thing', async () => {
    sds.grant([web, api], other);
    const stream = sds.openWhole();
    const wanted = ['ROOTCA', 'spiffe://example.org', 'default', 'spiffe://example.org/web', 'ALL'];
    await stream.ask({ resourceNames: wanted });
    const response = await stream.next();
    expect(secretNames(response)).toEqual(wanted);
    for (const { validationContext } of [response.secrets[0], response.secrets[4]].flatMap(
      (secret) => secret ?? [],
    )) {
      expect(validationContext?.trustedCa).toBeNull();
      expect(validationContext?.customValidatorConfig?.name).toBe('envoy.tls.cert_validator.spiffe');
    }
    const all = response.secrets[4]?.validationContext?.customValidatorConfig?.typedConfig;
    const { trustDomains } = loadMessage(
      'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
    ).deserialize(all?.value ?? Buffer.alloc(0));
    expect(trustDomains.map(({ name }) => name)).toEqual(['example.org', 'other.example']);
    const trusted = new X509Certificate(trustDomains[1]?.trustBundle?.inlineBytes ?? '');
    expect(trusted.raw).toEqual(other.certificate);
  });

  it('gives plain authorities to an Envoy before 1.18, which cannot have ALL', async () => {
    sds.grant([web], other);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['ROOTCA'], node: OLD_ENVOY });
    const first = await stream.next();
    const trusted = first.secrets[0]?.validationContext?.trustedCa?.inlineBytes ?? '';
    expect(new X509Certificate(trusted).raw).toEqual(authority.certificate);
    // Without a node it is the one of before.
    await stream.ask({ resourceNames: ['ALL'], responseNonce: first.nonce });
    await expect(stream.next()).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('ends the stream of whoever asks for what no entry grants it, and says so in the log', async () => {
    sds.grant([web]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['default', 'spiffe://example.org/api'] });
    await expect(stream.next()).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining('"spiffe://example.org/api"') as string,
    });
    expect(sds.warnings).toEqual(['Envoy asks for secrets that no entry grants it']);
    await waitFor('the subscription to end', () => sds.identities.subscriberCount === 0);
  });

  it('ends the stream when the entry goes', async () => {
    sds.grant([web]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['default'] });
    await stream.next();
    sds.grant([]);
    await expect(stream.next()).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('gives the bundle, and nothing else, to a workload without an entry', async () => {
    sds.grant([]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: [] });
    expect(secretNames(await stream.next())).toEqual(['spiffe://example.org']);
  });

  it('does not repeat what the client refused, logs why, and goes on with the next change', async () => {
    sds.grant([web]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['default'] });
    const first = await stream.next();
    await stream.ask({
      resourceNames: ['default'],
      responseNonce: first.nonce,
      errorDetail: { code: 13, message: 'bad certificate' },
    });
    await waitFor('the log to tell', () => sds.warnings.length > 0);
    expect(sds.warnings).toEqual(['Envoy did not take the secrets it was sent, and keeps those it had']);
    sds.grant([api]);
    expect(serialIn((await stream.next()).secrets[0])).toBe(serialOf(api));
  });

  it('ignores a stale nonce, and answers a changed list with a fresh one even if nothing else changed', async () => {
    sds.grant([web, api]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['default'] });
    const first = await stream.next();
    await stream.ask({ resourceNames: ['spiffe://example.org/nobody'], responseNonce: 'stale' });
    await stream.ask({ resourceNames: ['spiffe://example.org/nobody'], responseNonce: '' });
    await stream.ask({ resourceNames: ['spiffe://example.org/api'], responseNonce: first.nonce });
    expect(secretNames(await stream.next())).toEqual(['spiffe://example.org/api']);
  });

  it('does not send what has not changed', async () => {
    sds.grant([web]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['default'] });
    await stream.next();
    sds.grant([web], other);
    sds.grant([web, api]);
    const renewed = await authority.issueX509Svid('/web');
    sds.grant([renewed]);
    expect(serialIn((await stream.next()).secrets[0])).toBe(serialOf(renewed));
  });

  it('sends a reader who was slow only what is newest', async () => {
    sds.grant([web]);
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: [] });
    await stream.next();
    const many = await Promise.all(Array.from({ length: 200 }, (_, i) => authority.issueX509Svid(`/w${i}`)));
    for (let round = 0; round < 40; round += 1) {
      sds.grant([...many.slice(round), web]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    sds.grant([api]);
    let count = 0;
    for (;;) {
      const response = await stream.next();
      count += 1;
      if (secretNames(response).includes('spiffe://example.org/api')) break;
    }
    expect(count).toBeLessThan(40);
  });
});
