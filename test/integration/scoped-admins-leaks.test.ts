/** Every RPC, asked by a member of one team about the other team in all ways: no answer, refusal or header has a name of the other. */
import type { Client, Metadata, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { RPC_CALLERS, SERVED_SERVICES } from '@bonafide/server/access/rpc-callers';
import { RPC_SCOPES } from '@bonafide/server/access/rpc-scopes';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, entryOf, opsOf, own, register, type Registered } from './scoped-admins.js';
import { InProcessServer } from './server-in-process.js';

let server: InProcessServer;
let registered: Registered;
let client: Client;

beforeAll(async () => {
  server = await InProcessServer.start({ config: CONFIG });
  registered = await register(server);
  client = await server.remote('grpc.health.v1.Health', await server.mint(opsOf('alder')));
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

type Method = MethodDefinition<object, object>;

const methods: readonly Method[] = SERVED_SERVICES.flatMap((name) =>
  Object.values<Method>(loadService(name).definition),
);

interface Answer {
  readonly messages: readonly Buffer[];
  readonly failure: ServiceError | undefined;
  readonly headers: string;
}

/** Every answer to an end, as the bytes that came over the wire. */
function ask(
  { path, requestSerialize, requestStream, responseStream }: Method,
  request: object,
): Promise<Answer> {
  const raw = (bytes: Buffer): Buffer => bytes;
  const messages: Buffer[] = [];
  let headers = '';
  const deadline = { deadline: Date.now() + 20_000 };
  return new Promise((resolve) => {
    const done = (failure?: ServiceError): void => {
      resolve({ messages, failure, headers });
    };
    if (!responseStream) {
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        raw,
        request,
        deadline,
        (error, answer) => {
          if (answer !== undefined) messages.push(answer);
          done(error ?? undefined);
        },
      );
      call.on('metadata', (metadata: Metadata) => (headers = JSON.stringify(metadata.getMap())));
      return;
    }
    const bidi = requestStream
      ? client.makeBidiStreamRequest(path, requestSerialize, raw, deadline)
      : undefined;
    bidi?.write(request);
    bidi?.end();
    const call = bidi ?? client.makeServerStreamRequest(path, requestSerialize, raw, request, deadline);
    call.on('metadata', (metadata: Metadata) => (headers = JSON.stringify(metadata.getMap())));
    call.on('data', (bytes: Buffer) => {
      messages.push(bytes);
      if (path.startsWith('/grpc.health')) call.cancel(); // it never ends by itself
    });
    call.on('error', (error) => {
      done(error as ServiceError);
    });
    call.on('end', () => {
      done();
    });
  });
}

/** Requests that reach for the other team; of each RPC those fields count that it has. */
function requests(): readonly object[] {
  const [alias = '', entryId = ''] = registered.ids.birch;
  const agent = own('/spire/agent/join_token/birch-token');
  const entry = entryOf('birch', 'web-1', { id: entryId });
  const mine = entryOf('alder', 'new', { id: 'alder.new', parentId: own('/birch/nodes') });
  const listing = { outputMask: null, pageSize: 0 };
  return [
    {},
    { id: entryId },
    { id: alias, entryId },
    { id: agent, agentId: agent },
    { ...listing, filter: { byParentId: own('/birch/nodes') } },
    { ...listing, filter: { bySpiffeId: own('/birch/web-1') } },
    { ...listing, filter: { byHint: { value: 'birch-hint' } } },
    { ...listing, pageSize: 1, pageToken: entryId },
    { ...listing, pageSize: 1, pageToken: `spiffe://example.org/birch/ ${entryId}` },
    { ids: [entryId, alias, 'none'] },
    { entries: [entry, { ...entry, id: '' }, { ...mine }, entryOf('alder', 'x', { id: entryId })] },
    { entryId },
    { spiffeId: 'spiffe://example.org/birch/web-1' },
    { spiffeId: 'spiffe://example.org/alder/web-1' },
    { spiffeId: 'spiffe://example.org/birch/ops', rpc: '/spire.api.server.entry.v1.Entry/ListEntries' },
    { entry: { verb: 'delete', entryId } },
    { entry: { verb: 'create', spiffeId: 'spiffe://example.org/alder/reader' } },
    { id: own('/birch/tool'), audience: ['a'] },
    { terms: { spiffeIdPrefix: 'spiffe://example.org/birch', prune: true }, entries: [entry] },
    {
      terms: { spiffeIdPrefix: 'spiffe://example.org/alder' },
      entries: [{ ...mine, parentId: own('/alder/nodes') }],
    },
    { terms: { spiffeIdPrefix: 'spiffe://example.org', prune: true }, entries: [] },
  ];
}

/** Fields of one name are texts here and messages there. */
function fits({ requestSerialize }: Method, request: object): boolean {
  try {
    requestSerialize(request);
    return true;
  } catch {
    return false;
  }
}

/** Names that the request itself had may come back in what is said about it. */
function namesNotIn(request: object): readonly string[] {
  const asked = JSON.stringify(request);
  const names = [
    ...registered.ids.birch,
    ...[
      'birch-hint',
      'web.birch.example',
      '/birch/web-1',
      '/birch/web-2',
      '/birch/nodes',
      '/birch/ops',
      'ns:birch',
    ],
    ...['birch-token', 'birch'],
  ];
  return names.filter((name) => !asked.includes(name));
}

describe('no answer to a scoped admin has a name of another team', () => {
  it.each(methods.map((method) => [method.path, method] as const))(
    '%s',
    async (path, method) => {
      const isOpen = path in RPC_SCOPES;
      const isForAnyone = (RPC_CALLERS as Readonly<Record<string, unknown>>)[path] === 'anyone';
      for (const request of requests().filter((each) => fits(method, each))) {
        const { messages, failure, headers } = await ask(method, request);
        if (!isOpen && !isForAnyone) {
          expect([path, failure?.details]).toEqual([path, `authorization denied for method ${path}`]);
          expect(messages).toEqual([]);
        }
        const said = Buffer.concat([
          ...messages,
          Buffer.from(
            `${failure?.details ?? ''} ${JSON.stringify(failure?.metadata.getMap() ?? {})} ${headers}`,
          ),
        ]);
        for (const name of namesNotIn(request)) {
          expect([path, JSON.stringify(request), name, said.includes(name)]).toEqual([
            path,
            JSON.stringify(request),
            name,
            false,
          ]);
        }
      }
    },
    300_000,
  );

  it('while it sees what is its own', async () => {
    const listEntries = methods.find(({ path }) => path.endsWith('Entry/ListEntries'));
    if (listEntries === undefined) throw new Error('no such method');
    const { messages } = await ask(listEntries, {});
    expect(Buffer.concat([...messages]).includes('alder-hint')).toBe(true);
  });

  it('and the same requests reach those names for an operator', async () => {
    const local = server.local('grpc.health.v1.Health');
    const scoped = client;
    client = local;
    try {
      const listEntries = methods.find(({ path }) => path.endsWith('Entry/ListEntries'));
      if (listEntries === undefined) throw new Error('no such method');
      const { messages } = await ask(listEntries, {});
      expect(Buffer.concat([...messages]).includes('birch-hint')).toBe(true);
    } finally {
      client = scoped;
    }
  });
});
