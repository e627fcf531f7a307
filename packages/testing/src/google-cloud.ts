/** As much of Google Cloud as attestation needs: keys, access tokens and the Compute Engine API over HTTPS, and an instance's metadata service over HTTP. */
import { verify, type KeyObject } from 'node:crypto';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { makeKeyPair } from './make-key-pair.js';
import { TestAuthority } from './test-authority.js';

const ACCESS_TOKEN = 'ya29.access-token';

/** What it says instead of the truth. */
export type GoogleLie = (request: IncomingMessage, response: ServerResponse) => void;

type Json = Readonly<Record<string, unknown>>;

interface TokenChanges {
  readonly header?: Json;
  readonly claims?: Json;
  readonly instance?: Json;
  readonly key?: KeyObject;
}

export class GoogleCloud implements AsyncDisposable {
  readonly #apis: Server;
  readonly #metadata: Server;
  readonly #authority: TestAuthority;
  readonly serviceAccountKey: KeyObject;
  readonly #serviceAccountPublicKey: KeyObject;
  /** Of the keys that sign identity tokens. */
  keyId = 'key-1';
  keys = makeKeyPair('rsa', { modulusLength: 2048 });
  /** What the metadata service says otherwise of the instance, asked for each token. */
  instance: () => Json = () => ({});
  keysMaxAge = 'public, max-age=20000, must-revalidate';
  /** By name; nothing else is there. */
  readonly instances = new Map<string, Json>();
  readonly requests: string[] = [];
  lie: GoogleLie | undefined;

  private constructor(apis: Server, metadata: Server, authority: TestAuthority) {
    this.#apis = apis;
    this.#metadata = metadata;
    this.#authority = authority;
    const { publicKey, privateKey } = makeKeyPair('rsa', { modulusLength: 2048 });
    this.serviceAccountKey = privateKey;
    this.#serviceAccountPublicKey = publicKey;
    apis.on(
      'request',
      this.#listener((request, response) => this.#answerApi(request, response)),
    );
    metadata.on(
      'request',
      this.#listener((request, response) => this.#answerMetadata(request, response)),
    );
  }

  static async start(): Promise<GoogleCloud> {
    const authority = await TestAuthority.create('googleapis.example');
    const certificate = { uriNames: [], dnsNames: ['localhost'] };
    const identity = await authority.issueX509Svid('/apis', { certificate });
    const apis = createHttpsServer({
      cert: identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      key: encodePem('PRIVATE KEY', exportPkcs8(identity.privateKey)),
    });
    const metadata = createHttpServer();
    for (const server of [apis, metadata]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return new GoogleCloud(apis, metadata, authority);
  }

  /** PEM. */
  get ca(): string {
    return encodePem('CERTIFICATE', this.#authority.certificate);
  }

  get apiUrl(): URL {
    return new URL(`https://localhost:${(this.#apis.address() as AddressInfo).port}/`);
  }

  get keysUrl(): URL {
    return new URL('/oauth2/v3/certs', this.apiUrl);
  }

  /** Host and port. */
  get metadataHost(): string {
    return `127.0.0.1:${(this.#metadata.address() as AddressInfo).port}`;
  }

  /** The file of a service account that this cloud knows, JSON. */
  serviceAccountFile(): string {
    return JSON.stringify({
      type: 'service_account',
      client_email: 'server@project-123.iam.gserviceaccount.com',
      private_key_id: 'sa-key',
      private_key: encodePem('PRIVATE KEY', exportPkcs8(this.serviceAccountKey)),
      token_uri: new URL('/token', this.apiUrl).href,
    });
  }

  /** As the metadata service of an instance makes it, with `format=full`. */
  identityToken(audience: string, { header, claims, instance, key }: TokenChanges = {}): Promise<string> {
    const now = Math.floor(systemClock.now().getTime() / 1000);
    const payload = {
      ...{ aud: audience, azp: '1234567890', email: '123-compute@developer.gserviceaccount.com' },
      ...{
        email_verified: true,
        exp: now + 3600,
        iat: now,
        iss: 'https://accounts.google.com',
        sub: '1234567890',
      },
      google: {
        compute_engine: {
          ...{ project_id: 'project-123', project_number: 739419398126, zone: 'us-west1-b' },
          ...{ instance_id: '152986662232938449', instance_name: 'blog-server' },
          ...{ instance_creation_timestamp: 1504041600, ...instance },
        },
      },
      ...claims,
    };
    const signer = key ?? this.keys.privateKey;
    return encodeCompactJws({ alg: 'RS256', kid: this.keyId, typ: 'JWT', ...header }, payload, (data) =>
      signJwsAs('RS256', signer, data),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#apis, this.#metadata]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #listener(answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>): RequestListener {
    return (request, response) => {
      this.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
      if (this.lie === undefined) void answer(request, response);
      else this.lie(request, response);
    };
  }

  async #answerApi(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '', this.apiUrl);
    if (pathname === '/oauth2/v3/certs') {
      const jwk = this.keys.publicKey.export({ format: 'jwk' });
      const key = { ...jwk, kid: this.keyId, use: 'sig', alg: 'RS256' };
      send(response, 200, { keys: [key] }, { 'cache-control': this.keysMaxAge });
    } else if (pathname === '/token') {
      const isKnown = this.#isAssertion(new URLSearchParams(await readBody(request)).get('assertion') ?? '');
      if (isKnown)
        send(response, 200, { access_token: ACCESS_TOKEN, expires_in: 3599, token_type: 'Bearer' });
      else send(response, 400, { error: 'invalid_grant' });
    } else if (request.headers.authorization !== `Bearer ${ACCESS_TOKEN}`) {
      send(response, 401, { error: { code: 401 } });
    } else {
      const instance = this.instances.get(pathname);
      send(response, instance === undefined ? 404 : 200, instance ?? { error: { code: 404 } });
    }
  }

  async #answerMetadata(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://metadata');
    const [, account, what] =
      /^\/computeMetadata\/v1\/instance\/service-accounts\/([^/]+)\/(identity|token)$/.exec(pathname) ?? [];
    if (request.headers['metadata-flavor'] !== 'Google') send(response, 403, {});
    else if (account !== 'default') send(response, 404, {});
    else if (what === 'token') send(response, 200, { access_token: ACCESS_TOKEN, expires_in: 3599 });
    else {
      const claims = searchParams.get('format') === 'full' ? {} : { google: undefined };
      response.writeHead(200, { 'metadata-flavor': 'Google' });
      response.end(
        await this.identityToken(searchParams.get('audience') ?? '', { claims, instance: this.instance() }),
      );
    }
  }

  #isAssertion(assertion: string): boolean {
    const [header = '', payload = '', signature = ''] = assertion.split('.');
    const data = Buffer.from(`${header}.${payload}`);
    return verify('sha256', data, this.#serviceAccountPublicKey, Buffer.from(signature, 'base64url'));
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, value: object, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}
