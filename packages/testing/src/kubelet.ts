/** A kubelet, as much of it as workload attestation needs: HTTPS, callers by token or client certificate, `GET /pods`, and every way to fail. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createPlainServer, type Server as PlainServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { KubeletPod } from './kubelet-pod.js';
import { TestAuthority } from './test-authority.js';

/** PEM. */
interface KubeletCredentials {
  readonly certificate: string;
  readonly privateKey: string;
}

/** What it does instead of its duty. */
export type KubeletFault = (request: IncomingMessage, response: ServerResponse) => void;

interface KubeletOptions {
  /** For which its certificate is; a kubelet's own is seldom for an address. */
  readonly nodeName?: string;
  readonly isReadOnlyPort?: boolean;
}

export class Kubelet implements AsyncDisposable {
  readonly #server: Server | PlainServer;
  readonly #authority: TestAuthority;
  readonly #clientAuthority: TestAuthority;
  /** The pods of the node; whatever is changed is in the next answer. */
  readonly pods: KubeletPod[] = [];
  /** By which callers are known; each may be made invalid. */
  readonly tokens = new Set(['token-of-the-agent']);
  /** Whether callers without any of it may ask (`--anonymous-auth` and the rights of `system:anonymous`). */
  allowsAnonymous = false;
  /** Callers who are known and yet may not ask. */
  isForbidden = false;
  fault: KubeletFault | undefined;
  /** Method, path and by what each caller so far was known. */
  readonly requests: string[] = [];
  #port = 0;

  private constructor(server: Server | PlainServer, authority: TestAuthority, clients: TestAuthority) {
    this.#server = server;
    this.#authority = authority;
    this.#clientAuthority = clients;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const caller = this.#callerOf(request);
      this.requests.push(`${request.method ?? ''} ${request.url ?? ''} by ${caller ?? 'nobody'}`);
      if (this.fault === undefined) this.#answer(request, response, caller);
      else this.fault(request, response);
    });
  }

  static async start({
    nodeName = 'localhost',
    isReadOnlyPort = false,
  }: KubeletOptions = {}): Promise<Kubelet> {
    const [authority, clients] = await Promise.all([
      TestAuthority.create('cluster.local'),
      TestAuthority.create('clients.cluster.local'),
    ]);
    const certificate = { uriNames: [], dnsNames: [nodeName] };
    const identity = await authority.issueX509Svid('/kubelet', { certificate });
    const server = isReadOnlyPort
      ? createPlainServer()
      : createServer({
          cert: identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
          key: encodePem('PRIVATE KEY', exportPkcs8(identity.privateKey)),
          ca: encodePem('CERTIFICATE', clients.certificate),
          requestCert: true,
          rejectUnauthorized: false, // who has none may have a token
        });
    const kubelet = new Kubelet(server, authority, clients);
    await kubelet.listen(0);
    return kubelet;
  }

  /** Again, after `stop`, at the port that it had. */
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Also after `stop`. */
  get port(): number {
    return this.#port;
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  /** Of the CA of its certificate, PEM. */
  get ca(): string {
    return encodePem('CERTIFICATE', this.#authority.certificate);
  }

  /** A client certificate that it accepts. */
  async issueCredentials(): Promise<KubeletCredentials> {
    const svid = await this.#clientAuthority.issueX509Svid('/agent');
    return {
      certificate: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      privateKey: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
    };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.stop();
  }

  #callerOf({ headers, socket }: IncomingMessage): string | undefined {
    if (!(socket instanceof TLSSocket)) return 'anyone';
    if (socket.authorized) return 'certificate';
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) return this.allowsAnonymous ? 'anonymous' : undefined;
    return this.tokens.has(token) ? token : undefined;
  }

  #answer(request: IncomingMessage, response: ServerResponse, caller: string | undefined): void {
    if (caller === undefined) sendText(response, 401, 'Unauthorized');
    else if (this.isForbidden) {
      sendText(response, 403, `Forbidden (user=${caller}, verb=get, resource=nodes, subresource=proxy)`);
    } else if (request.method !== 'GET' || request.url !== '/pods')
      sendText(response, 404, '404 page not found');
    else {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(formatPodList(this.pods));
    }
  }
}

export function formatPodList(items: readonly KubeletPod[]): string {
  return JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items });
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}
