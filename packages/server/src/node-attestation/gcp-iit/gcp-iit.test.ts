import { createHmac, generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { GoogleCloud } from '@bonafide/testing/google-cloud';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NodeAttestor, ProvenNode } from '../node-attestor.js';
import { createGcpIit, gcpIit } from './gcp-iit.js';

const AUDIENCE = 'spire-gcp-node-attestor';
const host = {
  trustDomain: parseTrustDomain('example.org'),
  clock: systemClock,
  log: createLogger({ level: 'fatal', format: 'json' }),
  signal: new AbortController().signal,
};

let google: GoogleCloud;
let directory: TemporaryDirectory;

beforeAll(async () => {
  google = await GoogleCloud.start();
  directory = createTemporaryDirectory();
  await writeFile(directory.join('sa.json'), google.serviceAccountFile());
  google.instances.set('/compute/v1/projects/project-123/zones/us-west1-b/instances/blog-server', {
    id: '152986662232938449',
    tags: { items: ['http-server', 'blog'], fingerprint: 'x' },
    labels: { team: 'web', cost: '7' },
    metadata: {
      items: [{ key: 'role', value: 'front' }, { key: 'flag' }, { key: 'long', value: 'x'.repeat(129) }],
    },
  });
});

afterEach(() => {
  google.lie = undefined;
  google.requests.length = 0;
});

afterAll(async () => {
  await google[Symbol.asyncDispose]();
  directory.remove();
});

function attestor(config: object = {}, clock = host.clock): NodeAttestor {
  return createGcpIit(
    gcpIit.configSchema.parse({ projectid_allow_list: ['project-123'], ...config }),
    { ...host, clock },
    {
      keysUrl: google.keysUrl,
      computeApi: google.apiUrl,
      metadataEndpoint: new URL(`http://${google.metadataHost}`),
      tls: { ca: google.ca },
      environment: {},
    },
  );
}

function attest(token: string, by: NodeAttestor = attestor()): Promise<ProvenNode> {
  return by.attest({
    payload: Buffer.from(token),
    csrHash: Buffer.alloc(32),
    now: new Date(),
    challenge: () => Promise.reject(new Error('asked')),
    recall: () => Promise.resolve(undefined),
  });
}

const TOKEN_SELECTORS = [
  'project-id:project-123',
  'zone:us-west1-b',
  'instance-name:blog-server',
  'sa:123-compute@developer.gserviceaccount.com',
];

describe('gcp_iit', () => {
  it('proves the instance, with the ID and the selectors that SPIRE gives it, once', async () => {
    expect(await attest(await google.identityToken(AUDIENCE))).toEqual({
      agentId: 'spiffe://example.org/spire/agent/gcp_iit/project-123/152986662232938449',
      hasConfiguredPath: false,
      selectors: TOKEN_SELECTORS.map((value) => ({ type: 'gcp_iit', value })),
      canReattest: false,
      isTrustedOnFirstUse: true,
    });
  });

  it('gives IDs of the form that operators choose', async () => {
    const by = attestor({
      agent_path_template: '/cloud/{{ .ServiceAccount | lower }}/{{ .ProjectNumber }}/{{ .InstanceName }}',
    });
    expect(
      await attest(await google.identityToken(AUDIENCE, { claims: { email: 'A@b.c' } }), by),
    ).toMatchObject({
      agentId: 'spiffe://example.org/spire/agent/cloud/a_b.c/739419398126/blog-server',
      hasConfiguredPath: true,
    });
  });

  it.each([
    ['its own service account', {}],
    ['the one of a file', { service_account_file: 'sa.json' }],
  ])(
    'selects by tags, and by labels and metadata that are allowed, asking with %s',
    async (_name, account) => {
      const by = attestor({
        use_instance_metadata: true,
        allowed_label_keys: ['team', 'none'],
        allowed_metadata_keys: ['role', 'flag'],
        ...('service_account_file' in account ? { service_account_file: directory.join('sa.json') } : {}),
      });
      const { selectors } = await attest(await google.identityToken(AUDIENCE), by);
      expect(selectors.map(({ value }) => value)).toEqual([
        ...TOKEN_SELECTORS,
        ...['tag:http-server', 'tag:blog', 'label:team:web', 'metadata:role:front', 'metadata:flag:'],
      ]);
      const asked = google.requests.length;
      await attest(await google.identityToken(AUDIENCE), by);
      // Keys and access token are kept.
      expect(google.requests).toHaveLength(asked + 1);
    },
  );

  it('refuses metadata that is longer than selectors may be, but only if it was asked for', async () => {
    const config = { use_instance_metadata: true, allowed_metadata_keys: ['long'] };
    const token = await google.identityToken(AUDIENCE);
    await expect(attest(token, attestor(config))).rejects.toThrow(
      /"long" exceeded value limit \(129 > 128\)/,
    );
    await expect(attest(token, attestor({ ...config, max_metadata_value_size: 129 }))).resolves.toBeDefined();
  });

  it('refuses a token whose instance is gone, or whose name another instance has', async () => {
    const by = attestor({ use_instance_metadata: true });
    const gone = await google.identityToken(AUDIENCE, { instance: { instance_name: 'gone' } });
    await expect(attest(gone, by)).rejects.toMatchObject({ reason: 'permission_denied' });
    const other = await google.identityToken(AUDIENCE, { instance: { instance_id: '1' } });
    await expect(attest(other, by)).rejects.toThrow(/another instance has the name/);
  });

  it('refuses instances of other projects', async () => {
    for (const project_id of ['project-1234', 'other', 'project-12']) {
      const token = await google.identityToken(AUDIENCE, { instance: { project_id } });
      await expect(attest(token)).rejects.toMatchObject({ reason: 'permission_denied' });
    }
  });

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

  it.each([
    { zone: '../../../x' },
    { instance_name: '..' },
    { instance_name: 'a/b' },
    { instance_id: '1/2' },
    { instance_id: 7 },
    { project_id: 'project-123/../x' },
    { project_number: 'x' },
  ])('makes neither an ID nor a URL of %j', async (instance) => {
    const token = await google.identityToken(AUDIENCE, { instance });
    const by = attestor({ use_instance_metadata: true });
    await expect(attest(token, by)).rejects.toMatchObject({ reason: 'invalid_argument' });
    expect(google.requests).toEqual(['GET /oauth2/v3/certs']);
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
    const { publicKey, privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
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
    const by = attestor();
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

  it('follows Google to new keys, and asks no more than once a minute for those that it does not have', async () => {
    const clock = new FakeClock();
    const by = attestor({}, clock);
    await attest(await google.identityToken(AUDIENCE), by);
    for (let count = 0; count < 5; count += 1) {
      const token = await google.identityToken(AUDIENCE, { header: { kid: `made-up-${count}` } });
      await expect(attest(token, by)).rejects.toThrow(/no key/);
    }
    expect(google.requests).toHaveLength(1);

    google.keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
    google.keyId = 'key-new';
    const token = await google.identityToken(AUDIENCE);
    await expect(attest(token, by)).rejects.toThrow(/no key/);
    await clock.advance(60_000);
    await expect(attest(token, by)).resolves.toBeDefined();
    expect(google.requests).toHaveLength(2);

    // What Google no longer vouches for counts no more, even while it cannot be asked.
    await clock.advance(20_001_000);
    google.lie = (_request, response) => {
      response.writeHead(500).end();
    };
    await expect(attest(token, by)).rejects.toMatchObject({ reason: 'unavailable' });
    google.lie = undefined;
    await expect(attest(token, by)).resolves.toBeDefined();
  });

  it.each([
    ['fails', 500, ''],
    ['redirects', 302, ''],
    ['says something else', 200, '<html>'],
    ['has no keys', 200, '{}'],
    ['answers without end', 200, ' '.repeat(300_000)],
  ])('proves nothing while Google %s', async (_name, status, body) => {
    google.lie = (_request, response) => {
      response.writeHead(status, { location: '/elsewhere' }).end(body);
    };
    await expect(attest(await google.identityToken(AUDIENCE))).rejects.toMatchObject({
      reason: 'unavailable',
    });
    expect(google.requests).toHaveLength(1);
  });

  it.each(['missing.json', 'empty.json', 'user.json', 'plain.json'])(
    'says in the log alone what is wrong with the service account file (%s)',
    async (file) => {
      await writeFile(directory.join('empty.json'), '');
      await writeFile(directory.join('user.json'), '{"type":"authorized_user"}');
      await writeFile(directory.join('plain.json'), google.serviceAccountFile().replace('"https:', '"http:'));
      const by = attestor({ use_instance_metadata: true, service_account_file: directory.join(file) });
      const attempt = attest(await google.identityToken(AUDIENCE), by);
      await expect(attempt).rejects.toThrow(/the log of the server says why/);
    },
  );

  it.each([
    [{}],
    [{ projectid_allow_list: [] }],
    [{ projectid_allow_list: ['a'], agent_path_template: '{{ .Nothing }}' }],
    [{ projectid_allow_list: ['a'], max_metadata_value_size: 0 }],
    [{ projectid_allow_list: ['a'], keys_url: 'https://evil.example' }],
  ])('refuses the configuration %j', (config) => {
    expect(gcpIit.configSchema.safeParse(config).success).toBe(false);
  });
});
