import { createHmac } from 'node:crypto';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { GoogleCloud } from '@bonafide/testing/google-cloud';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GoogleKeys } from './google-keys.js';
import { verifyIdentityToken, type InstanceIdentity } from './identity-token.js';

const AUDIENCE = 'spire-gcp-node-attestor';

let google: GoogleCloud;

beforeAll(async () => {
  google = await GoogleCloud.start();
});

afterEach(() => {
  google.requests.length = 0;
});

afterAll(async () => {
  await google[Symbol.asyncDispose]();
});

function googleKeys(): GoogleKeys {
  const { signal } = new AbortController();
  return new GoogleKeys({ clock: systemClock, signal, url: google.keysUrl, tls: { ca: google.ca } });
}

function attest(token: string, by = googleKeys()): Promise<InstanceIdentity> {
  return verifyIdentityToken(token, by, new Date());
}

describe('verifyIdentityToken', () => {
  it.each([
    ['another audience', { aud: 'https://vault' }],
    ['an audience that only begins alike', { aud: `${AUDIENCE}.evil` }],
    ['no audience', { aud: undefined }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['no issuer', { iss: undefined }],
    ['an expiry that is past', { exp: 1_000 }],
    ['an expiry that is text', { exp: '9999999999' }],
    ['no expiry', { exp: undefined }],
    ['a time before which it is nothing', { nbf: 4_000_000_000 }],
    ['no instance', { google: undefined }],
    ['an instance that is text', { google: { compute_engine: 'x' } }],
  ])('refuses a token with %s', async (_name, claims) => {
    const attempt = attest(await google.identityToken(AUDIENCE, { claims }));
    await expect(attempt).rejects.toHaveProperty(
      'reason',
      expect.stringMatching(/^(invalid_argument|permission_denied)$/),
    );
  });

  const encode = (value: object | string): string =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

  it('refuses tokens without a signature, or signed with a secret that everyone knows', async () => {
    const [, payload = ''] = (await google.identityToken(AUDIENCE)).split('.');
    for (const alg of ['none', 'None', 'nOnE', '']) {
      for (const signature of ['', 'AA']) {
        await expect(
          attest(`${encode({ alg, kid: 'key-1' })}.${payload}.${signature}`),
        ).rejects.toHaveProperty('reason');
      }
    }
    // The public key as the secret of an HMAC: key confusion.
    const pem = google.keys.publicKey.export({ format: 'pem', type: 'spki' });
    const input = `${encode({ alg: 'HS256', kid: 'key-1', typ: 'JWT' })}.${payload}`;
    const signature = createHmac('sha256', pem).update(input).digest('base64url');
    await expect(attest(`${input}.${signature}`)).rejects.toThrow(/HS256/);
    expect(google.requests).toEqual([]);
  });

  it.each(['RS384', 'RS512', 'PS256', 'ES256', 'rs256', 'RS256 '])(
    'refuses the algorithm %s',
    async (alg) => {
      await expect(attest(await google.identityToken(AUDIENCE, { header: { alg } }))).rejects.toThrow(
        /expected RS256/,
      );
    },
  );

  it("refuses a token that brings its own key, or somebody else's", async () => {
    const { publicKey, privateKey: key } = makeKeyPair('rsa', { modulusLength: 2048 });
    const jwk = publicKey.export({ format: 'jwk' });
    const denied = { reason: 'permission_denied' };
    await expect(attest(await google.identityToken(AUDIENCE, { key }))).rejects.toMatchObject(denied);
    await expect(
      attest(await google.identityToken(AUDIENCE, { key, header: { jwk } })),
    ).rejects.toMatchObject(denied);
    const jku = 'https://evil.example/keys';
    await expect(
      attest(await google.identityToken(AUDIENCE, { key, header: { jku, x5u: jku } })),
    ).rejects.toMatchObject(denied);
    const header = { crit: ['b64'], b64: false };
    await expect(attest(await google.identityToken(AUDIENCE, { header }))).rejects.toThrow(/critical/);
  });

  it.each([
    [undefined],
    [''],
    ['key-2'],
    ['../../key-1'],
    ['__proto__'],
    [['key-1']],
    [7],
    ['x'.repeat(2_000)],
  ])('refuses the key ID %j', async (kid) => {
    const attempt = attest(await google.identityToken(AUDIENCE, { header: { kid } }));
    await expect(attempt).rejects.toHaveProperty(
      'reason',
      expect.stringMatching(/^(invalid_argument|permission_denied)$/),
    );
  });

  it('refuses a token that says something twice, whatever its signature', async () => {
    const [header = '', payload = '', signature = ''] = (await google.identityToken(AUDIENCE)).split('.');
    const claims = Buffer.from(payload, 'base64url').toString();
    const twice = encode(claims.replace('{', '{"aud":"x",'));
    await expect(attest(`${header}.${twice}.${signature}`)).rejects.toThrow(/twice/);
    const nested = encode(claims.replace('"compute_engine":{', '"compute_engine":{"project_id":"x",'));
    await expect(attest(`${header}.${nested}.${signature}`)).rejects.toThrow(/twice/);
  });

  it('refuses a token of which one character was changed', async () => {
    const by = googleKeys();
    const token = await google.identityToken(AUDIENCE);
    for (let position = 0; position < token.length; position += 41) {
      const other = token[position] === 'A' ? 'B' : 'A';
      await expect(
        attest(`${token.slice(0, position)}${other}${token.slice(position + 1)}`, by),
      ).rejects.toHaveProperty('reason');
    }
    for (const text of ['', 'a.b', 'a.b.c.d', `${token}.`, `${token}\n`, ` ${token}`, token.repeat(60)]) {
      await expect(attest(text, by)).rejects.toMatchObject({ reason: 'invalid_argument' });
    }
  });
});
