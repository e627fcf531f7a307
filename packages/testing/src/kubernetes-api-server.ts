/** An API server of Kubernetes, as much of it as attestation needs: HTTPS, callers and their rights, pods, nodes, tokens that are bound to pods, token reviews. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { TestAuthority } from './test-authority.js';

export interface TestPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly nodeName: string | undefined;
  readonly hostIp: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface TestNode {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface TestToken {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly audiences: readonly string[];
  readonly pod: TestPod | undefined;
  /** As since Kubernetes 1.30; undefined: as before. */
  readonly nodeUid: string | undefined;
  readonly isExpired: boolean;
}

/** What it says instead of the truth. */
export type Lie = (request: IncomingMessage, response: ServerResponse) => void;

const OWN_AUDIENCE = 'https://kubernetes.default.svc';

export class KubernetesApiServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #authority: TestAuthority;
  readonly #pods: TestPod[] = [];
  readonly #nodes: TestNode[] = [];
  readonly #tokens = new Map<string, TestToken>();
  /** By `namespace/name`: what is in each. */
  readonly configMaps = new Map<string, Readonly<Record<string, string>>>();
  /** By which a caller is known. */
  callerToken = 'token-of-the-identity-server';
  /** Method and path of all requests so far. */
  readonly requests: string[] = [];
  lie: Lie | undefined;

  private constructor(server: Server, authority: TestAuthority) {
    this.#server = server;
    this.#authority = authority;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
      if (this.lie === undefined) void this.#answer(request, response);
      else this.lie(request, response);
    });
  }

  static async start(): Promise<KubernetesApiServer> {
    const authority = await TestAuthority.create('cluster.local');
    const certificate = { uriNames: [], dnsNames: ['localhost', 'kubernetes.default.svc'] };
    const identity = await authority.issueX509Svid('/apiserver', { certificate });
    const server = createServer({
      cert: identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      key: encodePem('PRIVATE KEY', exportPkcs8(identity.privateKey)),
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new KubernetesApiServer(server, authority);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** PEM. */
  get ca(): string {
    return encodePem('CERTIFICATE', this.#authority.certificate);
  }

  /** A kubeconfig file of one who is known by the caller's token. */
  kubeConfig(user: object = { token: this.callerToken }, cluster: object = {}): string {
    const ca = Buffer.from(this.ca).toString('base64');
    const server = `https://localhost:${this.port}`;
    return JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'default' } }],
      clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': ca, ...cluster } }],
      users: [{ name: 'test', user }],
    });
  }

  addNode(node: Partial<TestNode> = {}): TestNode {
    const added = { name: 'node-1', uid: randomUUID(), labels: {}, ...node };
    this.#nodes.push(added);
    return added;
  }

  addPod(pod: Partial<TestPod> = {}): TestPod {
    const added = {
      ...{ namespace: 'spire', name: 'spire-agent-v5wgr', uid: randomUUID(), nodeName: 'node-1' },
      ...{ hostIp: '172.16.10.1', labels: {}, ...pod },
    };
    this.#pods.push(added);
    return added;
  }

  removePod(pod: TestPod): void {
    this.#pods.splice(this.#pods.indexOf(pod), 1);
  }

  issueToken(token: Partial<TestToken> = {}): string {
    const text = randomUUID();
    this.#tokens.set(text, {
      ...{ namespace: 'spire', serviceAccount: 'spire-agent', audiences: ['spire-server'] },
      ...{ pod: undefined, nodeUid: undefined, isExpired: false, ...token },
    });
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (request.headers.authorization !== `Bearer ${this.callerToken}`) {
      sendStatus(response, 401, 'Unauthorized');
      return;
    }
    const { method = '', url: path = '' } = request;
    const object =
      method === 'POST' && path === '/apis/authentication.k8s.io/v1/tokenreviews'
        ? this.#review(Buffer.concat(chunks).toString('utf8'))
        : method === 'PATCH'
          ? this.#patch(path, request.headers['content-type'], Buffer.concat(chunks).toString('utf8'))
          : this.#find(path);
    if (object === undefined) sendStatus(response, 404, `${path} not found`);
    else sendJson(response, method === 'POST' ? 201 : 200, object);
  }

  #patch(path: string, contentType: string | undefined, text: string): object | undefined {
    const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/configmaps\/([^/]+)$/.exec(path) ?? [];
    const before = this.configMaps.get(`${namespace ?? ''}/${name ?? ''}`);
    if (before === undefined || contentType !== 'application/merge-patch+json') return undefined;
    const data = { ...before, ...(JSON.parse(text) as { readonly data: Record<string, string> }).data };
    this.configMaps.set(`${namespace ?? ''}/${name ?? ''}`, data);
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data };
  }

  #find(path: string): object | undefined {
    const [, namespace, podName] = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)$/.exec(path) ?? [];
    const pod = this.#pods.find(
      (candidate) => candidate.namespace === namespace && candidate.name === podName,
    );
    if (pod !== undefined) return formatPod(pod);
    const [, nodeName] = /^\/api\/v1\/nodes\/([^/]+)$/.exec(path) ?? [];
    const node = this.#nodes.find(({ name }) => name === nodeName);
    if (node === undefined) return undefined;
    const { name, uid, labels } = node;
    return { apiVersion: 'v1', kind: 'Node', metadata: { name, uid, labels }, spec: {} };
  }

  #review(text: string): object {
    const { spec } = JSON.parse(text) as { readonly spec: { token: string; audiences?: string[] } };
    const review = (status: object): object => ({
      ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview' },
      ...{ metadata: { creationTimestamp: null }, spec, status },
    });
    const token = this.#tokens.get(spec.token);
    const isAlive = token?.pod === undefined || this.#pods.includes(token.pod);
    if (token === undefined || token.isExpired || !isAlive) {
      return review({ user: {}, error: '[invalid bearer token, Token has been invalidated]' });
    }
    const audiences = (spec.audiences ?? [OWN_AUDIENCE]).filter((name) => token.audiences.includes(name));
    if (audiences.length === 0) {
      return review({ user: {}, error: 'token audiences are invalid for the target audiences' });
    }
    return review({ authenticated: true, user: userOf(token), audiences });
  }
}

function userOf({ namespace, serviceAccount, pod, nodeUid }: TestToken): object {
  const extra = {
    ...(pod === undefined ? {} : { 'pod-name': pod.name, 'pod-uid': pod.uid }),
    ...(nodeUid === undefined ? {} : { 'node-name': pod?.nodeName ?? '', 'node-uid': nodeUid }),
  };
  return {
    ...{ username: `system:serviceaccount:${namespace}:${serviceAccount}`, uid: randomUUID() },
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    extra: Object.fromEntries(
      Object.entries(extra).map(([name, value]) => [`authentication.kubernetes.io/${name}`, [value]]),
    ),
  };
}

function formatPod({ namespace, name, uid, nodeName, hostIp, labels }: TestPod): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, uid, labels } },
    spec: { containers: [{ name: 'agent' }], ...(nodeName === undefined ? {} : { nodeName }) },
    status: { phase: 'Running', hostIP: hostIp },
  };
}

function sendStatus(response: ServerResponse, code: number, message: string): void {
  sendJson(response, code, { apiVersion: 'v1', kind: 'Status', status: 'Failure', message, code });
}

export function sendJson(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
