import { writeFile } from 'node:fs/promises';
import { KubernetesApi } from '@bonafide/shared/kubernetes/kubernetes-api';
import { loadClusterAccess } from '@bonafide/shared/kubernetes/load-cluster-access';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { KubernetesApiServer, sendJson, type TestPod } from '@bonafide/testing/kubernetes-api-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ProvenNode } from '../node-attestor.js';
import { createK8sPsat, k8sPsat } from './k8s-psat.js';

const NODE_UID = '5dbb7b21-65fe-11e9-b1b0-0800277ac80f';
const host = {
  trustDomain: parseTrustDomain('example.org'),
  log: createLogger({ level: 'fatal', format: 'json' }),
  signal: new AbortController().signal,
};

let api: KubernetesApiServer;
let directory: TemporaryDirectory;
let pod: TestPod;

beforeAll(async () => {
  api = await KubernetesApiServer.start();
  directory = createTemporaryDirectory();
  await writeFile(directory.join('config'), api.kubeConfig());
  api.addNode({ uid: NODE_UID, labels: { zone: 'b', secret: 'x' } });
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  directory.remove();
});

beforeEach(() => {
  pod = api.addPod({ labels: { app: 'agent', other: 'y' } });
});

afterEach(() => {
  api.lie = undefined;
  api.removePod(pod);
});

async function attest(token: string, cluster: object = {}, name = 'MyCluster'): Promise<ProvenNode> {
  const config = k8sPsat.configSchema.parse({
    clusters: {
      MyCluster: {
        service_account_allow_list: ['spire:spire-agent'],
        kube_config_file: directory.join('config'),
        ...cluster,
      },
    },
  });
  return createK8sPsat(config, host, { limitMs: 2_000 }).attest({
    payload: Buffer.from(JSON.stringify({ cluster: name, token })),
    csrHash: Buffer.alloc(32),
    now: new Date(),
    challenge: () => Promise.reject(new Error('asked')),
    recall: () => Promise.resolve(undefined),
  });
}

const denied = { reason: 'permission_denied' };

describe('k8s_psat', () => {
  it('proves the node of the pod, with the ID and the selectors that SPIRE gives it', async () => {
    const labels = { allowed_node_label_keys: ['zone', 'none'], allowed_pod_label_keys: ['app'] };
    const proven = await attest(api.issueToken({ pod }), labels);
    expect(proven).toEqual({
      agentId: `spiffe://example.org/spire/agent/k8s_psat/MyCluster/${NODE_UID}`,
      selectors: [
        'cluster:MyCluster',
        'agent_ns:spire',
        'agent_sa:spire-agent',
        'agent_pod_name:spire-agent-v5wgr',
        `agent_pod_uid:${pod.uid}`,
        'agent_node_ip:172.16.10.1',
        'agent_node_name:node-1',
        `agent_node_uid:${NODE_UID}`,
        'agent_node_label:zone:b',
        'agent_pod_label:app:agent',
      ].map((value) => ({ type: 'k8s_psat', value })),
      canReattest: true,
    });
  });

  it('names the agent by its pod where the cluster says so', async () => {
    const { agentId } = await attest(api.issueToken({ pod }), { use_pod_uid_for_agent_id: true });
    expect(agentId).toBe(`spiffe://example.org/spire/agent/k8s_psat/MyCluster/pod/${pod.uid}`);
  });

  it('asks for the audience of the API server when it is told to ask for none', async () => {
    const token = api.issueToken({ pod, audiences: ['https://kubernetes.default.svc'] });
    await expect(attest(token, { audience: [] })).resolves.toBeDefined();
    await expect(attest(token)).rejects.toMatchObject(denied);
  });

  it('knows several clusters, and none that it was not told of', async () => {
    await expect(attest(api.issueToken({ pod }), {}, 'Other')).rejects.toThrow(
      /not configured for cluster "Other"/,
    );
    await expect(attest(api.issueToken({ pod }), {}, '__proto__')).rejects.toThrow(/not configured/);
  });

  it('reads its own token anew for every call', async () => {
    await writeFile(directory.join('token'), 'stale');
    await writeFile(directory.join('rotating'), api.kubeConfig({ tokenFile: 'token' }));
    const cluster = { kube_config_file: directory.join('rotating') };
    await expect(attest(api.issueToken({ pod }), cluster)).rejects.toMatchObject({ reason: 'internal' });
    await writeFile(directory.join('token'), `${api.callerToken}\n`);
    await expect(attest(api.issueToken({ pod }), cluster)).resolves.toBeDefined();
  });

  it.each([
    ['for another audience', { audiences: ['vault'] }],
    ['of another service account', { serviceAccount: 'default' }],
    ['of a service account of that name elsewhere', { namespace: 'default' }],
    ['that has expired', { isExpired: true }],
  ])('refuses a token %s', async (_name, token) => {
    await expect(attest(api.issueToken({ pod, ...token }))).rejects.toMatchObject(denied);
  });

  it('refuses a token that Kubernetes does not know, or of a pod that is gone', async () => {
    await expect(attest('made-up')).rejects.toMatchObject(denied);
    const gone = api.addPod({ name: 'gone' });
    const token = api.issueToken({ pod: gone });
    api.removePod(gone);
    await expect(attest(token)).rejects.toMatchObject(denied);
  });

  it('refuses a token that is bound to no pod', async () => {
    await expect(attest(api.issueToken())).rejects.toThrow(/not bound to a pod/);
  });

  it('refuses the token of a pod whose name another pod has now', async () => {
    const old = api.addPod({ name: 'reborn' });
    const token = api.issueToken({ pod: old });
    const { review } = await recordReview(token);
    api.removePod(old);
    const reborn = api.addPod({ name: 'reborn' });
    api.lie = (request, response) => {
      if (request.method === 'POST') sendJson(response, 201, review);
      else sendJson(response, 200, { kind: 'Pod', metadata: { ...reborn }, spec: { nodeName: 'node-1' } });
    };
    await expect(attest(token)).rejects.toThrow(/bound to another pod/);
    api.removePod(reborn);
  });

  it('refuses a pod that was not placed on a node yet, or whose node is gone', async () => {
    const waiting = api.addPod({ name: 'waiting', nodeName: undefined });
    await expect(attest(api.issueToken({ pod: waiting }))).rejects.toThrow(/runs on no node/);
    const lost = api.addPod({ name: 'lost', nodeName: 'node-9' });
    await expect(attest(api.issueToken({ pod: lost }))).rejects.toMatchObject(denied);
  });

  it('refuses a token that was made on a node of that name before this one', async () => {
    await expect(attest(api.issueToken({ pod, nodeUid: NODE_UID }))).resolves.toBeDefined();
    await expect(attest(api.issueToken({ pod, nodeUid: 'another' }))).rejects.toThrow(/made on another node/);
  });

  it.each(['../../../secrets/x', 'a/b', 'a?b', '%2e%2e', '..', 'A', ''])(
    'asks for no pod with the name %j',
    async (name) => {
      api.requests.length = 0;
      api.lie = (_request, response) => {
        const extra = {
          'authentication.kubernetes.io/pod-name': [name],
          'authentication.kubernetes.io/pod-uid': ['u'],
        };
        const user = { username: 'system:serviceaccount:spire:spire-agent', extra };
        const status = { authenticated: true, audiences: ['spire-server'], user };
        sendJson(response, 201, { kind: 'TokenReview', status });
      };
      await expect(attest('token')).rejects.toHaveProperty('reason');
      expect(api.requests).toEqual(['POST /apis/authentication.k8s.io/v1/tokenreviews']);
    },
  );

  it.each([
    ['another kind', { kind: 'Secret' }],
    ['another pod', { kind: 'Pod', metadata: { namespace: 'spire', name: 'x', uid: 'u' }, spec: {} }],
    ['a list', [{ kind: 'Pod' }]],
  ])('refuses an API server that answers with %s', async (_name, answer) => {
    const token = api.issueToken({ pod });
    const { review } = await recordReview(token);
    api.lie = (request, response) => {
      sendJson(response, 200, request.method === 'POST' ? review : answer);
    };
    await expect(attest(token)).rejects.toMatchObject({ reason: 'internal' });
  });

  it('lets no UID speak for another form of ID', async () => {
    const token = api.issueToken({ pod });
    const { review } = await recordReview(token);
    api.lie = (request, response) => {
      const node = { kind: 'Node', metadata: { name: 'node-1', uid: `pod/${pod.uid}` } };
      const { namespace, name, uid } = pod;
      const isNode = request.url?.includes('/nodes/') === true;
      const found = { kind: 'Pod', metadata: { namespace, name, uid }, spec: { nodeName: 'node-1' } };
      sendJson(response, 200, request.method === 'POST' ? review : isNode ? node : found);
    };
    await expect(attest(token)).rejects.toMatchObject({ reason: 'internal' });
  });

  it('gives up on an API server that stalls, answers without end, redirects or fails', async () => {
    const token = api.issueToken({ pod });
    const unavailable = { reason: 'unavailable' };
    api.lie = () => undefined;
    await expect(attest(token)).rejects.toMatchObject(unavailable);
    api.lie = (_request, response) => {
      response.writeHead(201);
      response.end(Buffer.alloc(10 * 1024 * 1024, ' '));
    };
    await expect(attest(token)).rejects.toMatchObject(unavailable);
    api.requests.length = 0;
    api.lie = (_request, response) => {
      response.writeHead(307, { location: '/elsewhere' });
      response.end();
    };
    await expect(attest(token)).rejects.toMatchObject(unavailable);
    expect(api.requests).toHaveLength(1);
    api.lie = (_request, response) => {
      sendJson(response, 500, { kind: 'Status', message: 'etcd is away' });
    };
    // What the API server says is for the log.
    await expect(attest(token)).rejects.toMatchObject({
      message: expect.not.stringContaining('etcd') as string,
    });
  });

  it.each([
    ['', {}],
    ['{}', {}],
    ['{"cluster":"MyCluster"}', {}],
    ['{"cluster":"MyCluster","cluster":"Other","token":"x"}', {}],
    [`{"cluster":"MyCluster","token":"${'x'.repeat(70_000)}"}`, {}],
  ])('refuses malformed evidence (%#)', async (text) => {
    const attestor = createK8sPsat(k8sPsat.configSchema.parse({}), host);
    const evidence = { payload: Buffer.from(text), csrHash: Buffer.alloc(32), now: new Date() };
    const challenge = (): Promise<Buffer> => Promise.reject(new Error('asked'));
    const recall = (): Promise<undefined> => Promise.resolve(undefined);
    await expect(attestor.attest({ ...evidence, challenge, recall })).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
  });

  it.each([
    [{ clusters: { a: {} } }],
    [{ clusters: { a: { service_account_allow_list: [] } } }],
    [{ clusters: { a: { service_account_allow_list: ['spire-agent'] } } }],
    [{ clusters: { 'a/b': { service_account_allow_list: ['a:b'] } } }],
    [{ clusters: { '..': { service_account_allow_list: ['a:b'] } } }],
    [{ clusters: { a: { service_account_allow_list: ['a:b'], unknown: 1 } } }],
  ])('refuses the configuration %j', (config) => {
    expect(k8sPsat.configSchema.safeParse(config).success).toBe(false);
  });
});

/** What the API server says of the token while all is well. */
async function recordReview(token: string): Promise<{ readonly review: object }> {
  const access = (): ReturnType<typeof loadClusterAccess> => loadClusterAccess(directory.join('config'));
  const status = await new KubernetesApi({ access, signal: host.signal }).reviewToken(token, [
    'spire-server',
  ]);
  return { review: { kind: 'TokenReview', status } };
}
