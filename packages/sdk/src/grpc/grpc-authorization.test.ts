/** gRPC call by call: who the peer is on either side, which method they may call, and JWT-SVIDs in the metadata. */
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ServiceError,
} from '@grpc/grpc-js';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { bundlesOf, TestIdentity } from '@bonafide/testing/test-identity';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { allowAnonymousOr, authorizeAny, authorizeId, authorizeMemberOf } from '../tls/authorizer.js';
import { withoutSvid } from '../tls/server-identity.js';
import type { X509Trust } from '../x509-source.js';
import { authorizeGrpcCalls, grpcCallIdentity, type GrpcCallAuthentication } from './grpc-authorization.js';
import { grpcChannelCredentials } from './grpc-channel-credentials.js';
import { grpcJwtCredentials } from './grpc-jwt-credentials.js';
import { createGrpcListener, grpcPeerSpiffeId, type AuthenticatedCall } from './grpc-listener.js';

const SERVER = 'spiffe://example.org/server';
const CLIENT = 'spiffe://example.org/client';

interface Answer {
  readonly code: status;
  readonly text: string;
  readonly server: string | undefined;
}

let authority: TestAuthority;
let client: TestIdentity;
let other: TestIdentity;
let server: Server;
const served: string[] = [];
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  client = new TestIdentity(await authority.issueX509Svid('/client'), bundlesOf(authority));
  other = new TestIdentity(await authority.issueX509Svid('/other'), bundlesOf(authority));
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  served.splice(0);
});

function method(name: string) {
  return {
    path: `/test.Ledger/${name}`,
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: (text: string) => Buffer.from(text),
    requestDeserialize: (bytes: Buffer) => bytes.toString(),
    responseSerialize: (text: string) => Buffer.from(text),
    responseDeserialize: (bytes: Buffer) => bytes.toString(),
  };
}

async function start(authentication?: GrpcCallAuthentication): Promise<number> {
  const identity = new TestIdentity(await authority.issueX509Svid('/server'), bundlesOf(authority));
  server = new Server({
    interceptors: [
      authorizeGrpcCalls((path) => {
        if (path.endsWith('/Read')) return authorizeMemberOf('example.org');
        return path.endsWith('/Write') ? authorizeId(CLIENT) : undefined;
      }, authentication),
    ],
  });
  const answer = (
    call: AuthenticatedCall & { readonly metadata: Metadata },
    callback: (error: null, text: string) => void,
  ): void => {
    const [authorization = ''] = call.metadata.get('authorization');
    served.push(authorization.toString());
    const { by, spiffeId } = grpcCallIdentity(call);
    callback(null, by === 'x509_svid' ? (grpcPeerSpiffeId(call) ?? 'nobody') : `${by} ${spiffeId}`);
  };
  const names = ['Read', 'Write', 'Erase'];
  server.addService(
    Object.fromEntries(names.map((name) => [name, method(name)])),
    Object.fromEntries(names.map((name) => [name, answer])),
  );
  const listener = createGrpcListener(server, identity, allowAnonymousOr(authorizeAny()));
  closers.push(() => listener.close(0));
  return (await listener.listen({ port: 0, host: '127.0.0.1' })).port;
}

function ask(port: number, name: string, channel = channelOf(client)): Promise<Answer> {
  const caller = new Client(`127.0.0.1:${port}`, channel);
  closers.push(() => {
    caller.close();
  });
  const { path, requestSerialize, responseDeserialize } = method(name);
  return new Promise((resolve) => {
    const call = caller.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      'x',
      (error: ServiceError | null, text) => {
        resolve({
          code: error?.code ?? status.OK,
          text: text ?? error?.details ?? '',
          server: grpcPeerSpiffeId(call),
        });
      },
    );
  });
}

function channelOf(source: X509Trust): ReturnType<typeof grpcChannelCredentials> {
  return grpcChannelCredentials(source, authorizeId(SERVER));
}

describe('authorizeGrpcCalls', () => {
  it('asks the authorizer of each method, and tells either side who the other is', async () => {
    const port = await start();
    expect(await ask(port, 'Read')).toEqual({ code: status.OK, text: CLIENT, server: SERVER });
    expect(await ask(port, 'Write')).toMatchObject({ code: status.OK, text: CLIENT });
    expect(await ask(port, 'Read', channelOf(other))).toMatchObject({ text: 'spiffe://example.org/other' });
    expect(await ask(port, 'Write', channelOf(other))).toMatchObject({
      code: status.PERMISSION_DENIED,
      text: `the peer is spiffe://example.org/other; expected ${CLIENT}`,
    });
    expect(await ask(port, 'Erase')).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(served).toHaveLength(3);
  });

  it('refuses a call without a peer', async () => {
    const port = await start();
    const code = status.UNAUTHENTICATED;
    expect(await ask(port, 'Read', channelOf(withoutSvid(client)))).toMatchObject({ code });
    const plain = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    closers.push(() => {
      server.forceShutdown();
    });
    expect(await ask(plain, 'Read', credentials.createInsecure())).toMatchObject({ code });
    expect(served).toEqual([]);
  });
});

describe('authorizeGrpcCalls with JWT-SVIDs', () => {
  const tokens = TestTokenAuthority.create('example.org');
  const { trustDomain } = tokens;
  const trust = { bundles: new Map([[trustDomain, { trustDomain, jwtAuthorities: [tokens.authority] }]]) };
  const jwt = { trust, audience: 'ledger' };

  function withMetadata(source: X509Trust, ...lines: readonly string[]): ReturnType<typeof channelOf> {
    return credentials.combineChannelCredentials(
      channelOf(source),
      credentials.createFromMetadataGenerator((_parameters, callback) => {
        const metadata = new Metadata();
        for (const line of lines) metadata.add('authorization', line);
        callback(null, metadata);
      }),
    );
  }

  async function bearer(path: string, audience = 'ledger', from = tokens): Promise<string> {
    return `Bearer ${(await from.issueJwtSvid(path, [audience])).token}`;
  }

  it('names the caller by its token, before the connection and without one', async () => {
    const port = await start({ jwt });
    const source = { fetch: () => tokens.issueJwtSvid('/client', ['ledger']) };
    for (const connection of [other, withoutSvid(client)]) {
      const channel = credentials.combineChannelCredentials(
        channelOf(connection),
        grpcJwtCredentials(source, 'ledger'),
      );
      expect(await ask(port, 'Write', channel)).toMatchObject({ text: `jwt_svid ${CLIENT}` });
    }
    expect(await ask(port, 'Write')).toMatchObject({ code: status.OK, text: CLIENT });
    expect(await ask(port, 'Write', withMetadata(client, await bearer('/other')))).toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    expect(served).toHaveLength(3);
  });

  it('refuses a wrong token, whoever the connection is of, and tells the log why', async () => {
    const refusals: string[] = [];
    const port = await start({
      jwt,
      onRefusal: ({ reason }, method) => refusals.push(`${method} ${reason}`),
    });
    const right = await bearer('/client');
    const wrong = [
      ['Bearer'],
      ['Basic dXNlcjpwYXNz'],
      [`${right}, ${right}`],
      [`${right.slice(0, -4)}AAAA`],
      [await bearer('/client', 'elsewhere')],
      [await bearer('/client', 'ledger', TestTokenAuthority.create('example.org'))],
      [await bearer('/client', 'ledger', TestTokenAuthority.create('foreign.test'))],
    ];
    for (const lines of wrong) {
      const answer = await ask(port, 'Read', withMetadata(client, ...lines));
      expect(answer).toMatchObject({ code: status.UNAUTHENTICATED });
    }
    expect(await ask(port, 'Read', channelOf(withoutSvid(client)))).toMatchObject({
      code: status.UNAUTHENTICATED,
    });
    expect(served).toEqual([]);
    expect(refusals).toHaveLength(wrong.length + 1);
    expect(refusals[0]).toBe('/test.Ledger/Read unauthenticated');
  });

  it('does not look at tokens where they are not accepted', async () => {
    const port = await start();
    const code = status.UNAUTHENTICATED;
    const channel = withMetadata(withoutSvid(client), await bearer('/client'));
    expect(await ask(port, 'Read', channel)).toMatchObject({ code });
  });
});

describe('grpcJwtCredentials', () => {
  it('puts a JWT-SVID into each call, and fails the call when there is none', async () => {
    const port = await start();
    const svid = await TestTokenAuthority.create('example.org').issueJwtSvid('/client', ['ledger']);
    const withToken = (fetch: () => Promise<typeof svid>): ReturnType<typeof channelOf> =>
      credentials.combineChannelCredentials(channelOf(client), grpcJwtCredentials({ fetch }, 'ledger'));
    await ask(
      port,
      'Read',
      withToken(() => Promise.resolve(svid)),
    );
    expect(served).toEqual([`Bearer ${svid.token}`]);
    const refused = await ask(
      port,
      'Read',
      withToken(() => Promise.reject(new Error('nothing is granted'))),
    );
    expect(refused.code).not.toBe(status.OK);
    expect(refused.text).toContain('nothing is granted');
  });
});
