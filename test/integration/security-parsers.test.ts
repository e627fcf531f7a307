import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { Entry } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dialTls, grpcFrame, RawHttp2Client } from './raw-http2-client.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const HEALTH = 'grpc.health.v1.Health';
const SVID = 'spire.api.server.svid.v1.SVID';
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;
const MEBIBYTE = 1024 * 1024;
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const GOAWAY = 7;
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

const { AttestAgent, RenewAgent } = loadService(AGENT).definition;
const { GetBundle } = loadService(BUNDLE).definition;
const { Check } = loadService(HEALTH).definition;
const { Watch } = loadService('bonafide.sync.v1.Sync').definition;

let server: InProcessServer;
let agent: Attested;
let csr: Buffer;

beforeAll(async () => {
  server = await InProcessServer.start();
  agent = await server.attestNew();
  csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** What a client that behaves gets meanwhile, and how soon. */
async function expectResponsive(): Promise<void> {
  const started = performance.now();
  const { status } = await callUnary(await server.remote(HEALTH), 'Check', {});
  expect(status).toBe('SERVING');
  expect(await server.createToken()).not.toBe('');
  expect(performance.now() - started).toBeLessThan(30_000);
}

/** A message of the same kind with some of its bytes changed, removed, repeated or added. */
function mutated(message: Buffer, round: number): Buffer {
  const at = randomBytes(4).readUInt32BE() % (message.length + 1);
  const noise = randomBytes(1 + (round % 9));
  switch (round % 5) {
    case 0:
      return Buffer.concat([message.subarray(0, at), noise, message.subarray(at + noise.length)]);
    case 1:
      return message.subarray(0, at);
    case 2:
      return Buffer.concat([message, noise]);
    case 3:
      return Buffer.concat([message.subarray(0, at), noise, message.subarray(at)]);
    default:
      return Buffer.concat([message.subarray(0, at), message.subarray(0, at), message.subarray(at)]);
  }
}

/** Of HTTP/2 frames (RFC 9113 section 4.1). */
function frameTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    types.push(bytes.readUInt8(at + 3));
  return types;
}

describe('what anybody may send (invariant 7)', () => {
  it('may be any of 10,000 mutated messages: each is answered, none with an internal error', async () => {
    const attest = AttestAgent.requestSerialize({
      params: { data: { type: 'join_token', payload: Buffer.from('no-such-token') }, params: { csr } },
    });
    const check = Check.requestSerialize({ service: AGENT });
    const bundle = GetBundle.requestSerialize({ outputMask: { x509Authorities: true, refreshHint: true } });
    const kinds = [
      { path: AttestAgent.path, message: attest, count: 1500 },
      { path: Check.path, message: check, count: 5000 },
      { path: GetBundle.path, message: bundle, count: 3500 },
    ];
    using client = await RawHttp2Client.connect(server.port);
    const before = process.memoryUsage().rss;
    const codes = new Map<number | undefined, number>();
    for (const { path, message, count } of kinds) {
      for (let sent = 0; sent < count; sent += 100) {
        const batch = Array.from({ length: 100 }, async (_, index) => {
          const body = mutated(message, sent + index);
          const { code, message: text } = await client.send(path, grpcFrame(body));
          codes.set(code, (codes.get(code) ?? 0) + 1);
          // grpc-js answers INTERNAL to bytes that are no protobuf; ours would have a request id.
          expect([path, body.toString('hex'), text]).not.toContain('request id');
        });
        await Promise.all(batch);
      }
    }
    expect(codes.get(undefined)).toBeUndefined();
    expect([...codes.values()].reduce((sum, count) => sum + count, 0)).toBe(10_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * MEBIBYTE);
    await expectResponsive();
    expect((await callUnary(server.local(AGENT), 'CountAgents', {})).count).toBe(1);
  });

  it('is refused by its stated size before it arrives, and a message that never ends holds nobody else up', async () => {
    using client = await RawHttp2Client.connect(server.port);
    for (const stated of [4 * MEBIBYTE + 1, 0x7fff_ffff, 0xffff_ffff]) {
      const stream = client.open(AttestAgent.path);
      const status = new Promise<unknown>((resolve) => {
        const take = (headers: Readonly<Record<string, unknown>>): void => {
          if (headers['grpc-status'] !== undefined) resolve(headers['grpc-status']);
        };
        stream.on('response', take).on('trailers', take);
      });
      stream.resume();
      stream.write(grpcFrame(Buffer.from('x'), stated));
      expect(await status).toBe(String(RESOURCE_EXHAUSTED));
      stream.close();
    }
    const unfinished = Array.from({ length: 50 }, () => {
      const stream = client.open(GetBundle.path);
      stream.write(grpcFrame(Buffer.alloc(10), MEBIBYTE));
      return stream;
    });
    await expectResponsive();
    for (const stream of unfinished) stream.close();
  });

  it('is told to go when it is no HTTP/2, and half-open connections hold nobody up', async () => {
    const frames: readonly Buffer[] = [
      randomBytes(70_000),
      Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
      // A frame of 16 MiB, a HEADERS frame of noise, a SETTINGS frame for a stream, a WINDOW_UPDATE beyond all windows.
      Buffer.concat([
        HTTP2_PREFACE,
        EMPTY_SETTINGS,
        Buffer.from('ffffff000000000001', 'hex'),
        randomBytes(40_000),
      ]),
      Buffer.concat([
        HTTP2_PREFACE,
        EMPTY_SETTINGS,
        Buffer.from('000040010500000001', 'hex'),
        randomBytes(64),
      ]),
      Buffer.concat([HTTP2_PREFACE, Buffer.from('000000040000000001', 'hex')]),
      Buffer.concat([HTTP2_PREFACE, EMPTY_SETTINGS, Buffer.from('0000040800000000007fffffff', 'hex')]),
    ];
    for (const bytes of frames) {
      const socket = await dialTls(server.port);
      let answer = Buffer.alloc(0);
      socket.on('data', (part: Buffer) => (answer = Buffer.concat([answer, part])));
      socket.write(bytes);
      await waitFor(
        `the end of ${bytes.toString('hex', 24, 44)}`,
        () => socket.closed || frameTypes(answer).includes(GOAWAY),
      );
      socket.destroy();
    }
    const silent: Socket[] = [];
    for (let index = 0; index < 100; index += 1) {
      silent.push(connect({ port: server.port, host: '127.0.0.1' })); // never begins its TLS handshake
      const socket = await dialTls(server.port);
      socket.write(
        index % 2 === 0 ? HTTP2_PREFACE.subarray(0, 10) : Buffer.concat([HTTP2_PREFACE, EMPTY_SETTINGS]),
      );
      silent.push(socket);
    }
    for (const socket of silent) socket.on('error', () => undefined);
    await expectResponsive();
    for (const socket of silent) socket.destroy();
  });
});

describe('what an agent may send (invariant 7)', () => {
  it('may be a Watch stream of nonsense: each is refused with words, and an honest one works', async () => {
    const { requestSerialize } = Watch;
    const hello = requestSerialize({ hello: { logId: 'x', revision: 7, agentVersion: '1' } });
    const tooMuch = [
      [{ hello: { agentVersion: 'x'.repeat(256) } }, 'agent_version'],
      [{ hello: { agentVersion: 'x'.repeat(3 * MEBIBYTE) } }, 'agent_version'],
      [{ hello: { logId: 'x'.repeat(3 * MEBIBYTE) } }, 'log_id'],
      [{ hello: { logId: 'x', revision: '-1' } }, 'revision'],
      [{ hello: { logId: 'x', revision: '9223372036854775807' } }, 'revision'],
    ] as const;
    using client = await RawHttp2Client.connect(server.port, agent);
    for (const [message, field] of tooMuch) {
      const { code, message: text } = await client.send(Watch.path, grpcFrame(requestSerialize(message)));
      expect([field, code, text]).toEqual([field, INVALID_ARGUMENT, expect.stringContaining(field)]);
    }
    for (let round = 0; round < 500; round += 1) {
      const { code, message } = await client.send(Watch.path, grpcFrame(mutated(hello, round)));
      expect([code, message]).not.toEqual([INTERNAL, expect.stringContaining('request id')]);
      expect(code).toBeDefined();
    }
    await expectResponsive();
  });

  it('may not be a CSR that is cut short, has bytes after it or is too long, whoever sends it', async () => {
    const entryId = await server.createEntry(agent.spiffeId, '/csr');
    const cuts = [1, 2, 10, csr.length / 2, csr.length - 1].map((length) =>
      csr.subarray(0, Math.floor(length)),
    );
    const bad = [
      ...cuts,
      Buffer.concat([csr, Buffer.from([0])]),
      Buffer.concat([csr, csr]),
      Buffer.alloc(16 * 1024 + 1, 0x30),
      Buffer.from(csr.toString('base64')),
      randomBytes(400),
    ];
    const signing = await server.remote(SVID, agent);
    const renewing = await server.remote(AGENT, agent);
    const { results } = await callUnary(signing, 'BatchNewX509SVID', {
      params: bad.map((item) => ({ entryId, csr: item })),
    });
    for (const { status, svid } of results) {
      expect([status?.code, svid]).toEqual([INVALID_ARGUMENT, null]);
      expect(status?.message).toMatch(/CSR/);
    }
    for (const item of bad) {
      await expect(callUnary(renewing, 'RenewAgent', { params: { csr: item } })).rejects.toMatchObject({
        reason: 'invalid_argument',
        message: expect.stringContaining('CSR') as string,
      });
      await expect(callUnary(server.local(SVID), 'MintX509SVID', { csr: item })).rejects.toMatchObject({
        reason: 'invalid_argument',
        message: expect.stringContaining('CSR') as string,
      });
    }
    expect(RenewAgent.path).toContain(AGENT);
    expect((await server.renew(agent)).spiffeId).toBe(agent.spiffeId);
  });
});

describe('what an operator may send (invariant 7)', () => {
  const good = {
    spiffeId: { trustDomain: 'example.org', path: '/limits' },
    parentId: { trustDomain: 'example.org', path: '/rack' },
    selectors: [{ type: 'unix', value: 'uid:1' }],
  };
  const many = <T>(count: number, make: (index: number) => T): T[] =>
    Array.from({ length: count }, (_, index) => make(index));

  it.each<[string, Partial<Entry>, RegExp]>([
    [
      'selectors',
      { selectors: many(1001, (index) => ({ type: 'unix', value: `uid:${index}` })) },
      /selectors/,
    ],
    ['an empty selector', { selectors: [{ type: '', value: '' }] }, /selector/],
    ['a selector type with a colon', { selectors: [{ type: 'a:b', value: 'c' }] }, /selector/],
    ['DNS names', { dnsNames: many(1001, (index) => `h${index}.example.org`) }, /dns_names/],
    ['a long DNS name', { dnsNames: ['x'.repeat(256)] }, /DNS name/],
    ['a DNS name that is none', { dnsNames: ['a b'] }, /DNS name/],
    ['a hint', { hint: 'x'.repeat(1025) }, /hint/],
    ['trust domains', { federatesWith: many(1001, (index) => `t${index}.test`) }, /federates_with/],
    ['a trust domain that is none', { federatesWith: ['Bad Name'] }, /federates_with/],
    ['a life that is negative', { x509SvidTtl: -1 }, /x509_svid_ttl/],
    ['an end before the beginning of time', { expiresAt: '-9223372036854775808' }, /expires_at/],
    ['an id with a slash', { id: '../x' }, /id/],
  ])('has limits: %s', async (_name, change, message) => {
    const { results } = await callUnary(server.local(ENTRY), 'BatchCreateEntry', {
      entries: [{ ...good, ...change }],
    });
    expect(results.map(({ status }) => [status?.code, status?.message])).toEqual([
      [INVALID_ARGUMENT, expect.stringMatching(message)],
    ]);
  });

  const malformed: readonly (readonly [string, { trustDomain: string; path: string }])[] = [
    ['no trust domain', { trustDomain: '', path: '/x' }],
    ['an upper-case trust domain', { trustDomain: 'Example.org', path: '/x' }],
    ['a port', { trustDomain: 'example.org:80', path: '/x' }],
    ['a user', { trustDomain: 'user@example.org', path: '/x' }],
    ['a path without a slash', { trustDomain: 'example.org', path: 'x' }],
    ['an empty segment', { trustDomain: 'example.org', path: '/x//y' }],
    ['a trailing slash', { trustDomain: 'example.org', path: '/x/' }],
    ['a dot segment', { trustDomain: 'example.org', path: '/x/../y' }],
    ['an escape', { trustDomain: 'example.org', path: '/%2e' }],
    ['a query', { trustDomain: 'example.org', path: '/x?y' }],
    ['a NUL', { trustDomain: 'example.org', path: '/x\0' }],
    ['a line break', { trustDomain: 'example.org', path: '/x\n' }],
    ['a letter of another alphabet', { trustDomain: 'example.org', path: '/\u{430}' }],
    ['more than 2048 bytes', { trustDomain: 'example.org', path: `/${'x'.repeat(2048)}` }],
    ['a megabyte', { trustDomain: 'example.org', path: `/${'x'.repeat(MEBIBYTE)}` }],
  ];

  it.each(malformed)('names the field of a SPIFFE ID with %s', async (_name, id) => {
    const entries = server.local(ENTRY);
    const agents = server.local(AGENT);
    const { results } = await callUnary(entries, 'BatchCreateEntry', {
      entries: [
        { ...good, spiffeId: id },
        { ...good, parentId: id },
      ],
    });
    const changed = await callUnary(entries, 'BatchUpdateEntry', {
      entries: [{ id: 'any', spiffeId: id }],
      inputMask: { spiffeId: true },
    });
    expect([...results, ...changed.results].map(({ status }) => [status?.code, status?.message])).toEqual([
      [INVALID_ARGUMENT, expect.stringContaining('spiffe_id')],
      [INVALID_ARGUMENT, expect.stringContaining('parent_id')],
      [INVALID_ARGUMENT, expect.stringContaining('spiffe_id')],
    ]);
    const named = (field: string): object => ({
      reason: 'invalid_argument',
      message: expect.stringContaining(field) as string,
    });
    for (const method of ['ListEntries', 'CountEntries'] as const) {
      const byParentId = callUnary(entries, method, { filter: { byParentId: id } });
      await expect(byParentId).rejects.toMatchObject(named('by_parent_id'));
      const bySpiffeId = callUnary(entries, method, { filter: { bySpiffeId: id } });
      await expect(bySpiffeId).rejects.toMatchObject(named('by_spiffe_id'));
    }
    for (const method of ['GetAgent', 'BanAgent', 'DeleteAgent'] as const) {
      await expect(callUnary(agents, method, { id })).rejects.toMatchObject(named('id'));
    }
    const token = callUnary(agents, 'CreateJoinToken', { ttl: 60, agentId: id });
    await expect(token).rejects.toMatchObject(named('agent_id'));
    await expect(server.mint(`spiffe://${id.trustDomain}${id.path}`)).rejects.toMatchObject(named(''));
  });
});
