import { writeFile } from 'node:fs/promises';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
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

function attestor(config: object = {}): NodeAttestor {
  return createGcpIit(gcpIit.configSchema.parse({ projectid_allow_list: ['project-123'], ...config }), host, {
    keysUrl: google.keysUrl,
    computeApi: google.apiUrl,
    metadataEndpoint: new URL(`http://${google.metadataHost}`),
    tls: { ca: google.ca },
    environment: {},
  });
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
