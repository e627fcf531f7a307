/** Readers that stop reading and frames that are no messages: what the server holds for them, and what it says. */
import { Duplex } from 'node:stream';
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { grpcFrame, RawHttp2Client } from './raw-http2-client.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const ENTRY = 'spire.api.server.entry.v1.Entry';
const SYNC = 'bonafide.sync.v1.Sync';
const { Watch } = loadService(SYNC).definition;
const LIMIT = { limitMs: 150_000 };

afterEach(() => {
  vi.restoreAllMocks();
});

async function createEntries(server: InProcessServer, agent: Attested, count: number): Promise<string[]> {
  const { results } = await callUnary(server.local(ENTRY), 'BatchCreateEntry', {
    entries: Array.from({ length: count }, (_, index) => ({
      spiffeId: { trustDomain: 'example.org', path: `/w/${index}` },
      parentId: { trustDomain: 'example.org', path: new URL(agent.spiffeId).pathname },
      selectors: [{ type: 'unix', value: `uid:${index}` }],
    })),
  });
  return results.map(({ entry }) => entry?.id ?? '');
}

async function setHints(server: InProcessServer, ids: readonly string[], hint: string): Promise<void> {
  await callUnary(server.local(ENTRY), 'BatchUpdateEntry', {
    entries: ids.map((id) => ({ id, hint })),
    inputMask: { hint: true },
  });
}

/** The messages of a stream as they arrive. */
function messagesOf(stream: ClientHttp2Stream): ReturnType<typeof Watch.responseDeserialize>[] {
  const messages: ReturnType<typeof Watch.responseDeserialize>[] = [];
  let rest = Buffer.alloc(0);
  stream.on('data', (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      messages.push(Watch.responseDeserialize(rest.subarray(5, end)));
      rest = rest.subarray(end);
    }
  });
  return messages;
}

it('a reader that stops reading costs the server one message, whatever changes meanwhile, and then gets the state of then', async () => {
  await using server = await InProcessServer.start();
  const agent = await server.attestNew();
  const ids = await createEntries(server, agent, 500);
  const written = vi.spyOn(Duplex.prototype, 'write');
  /** What the streams of HTTP/2 hold that the peer has not taken. */
  const held = (): number => {
    const streams = new Set(written.mock.contexts as Duplex[]);
    return [...streams]
      .filter(({ constructor }) => constructor.name === 'ServerHttp2Stream')
      .reduce((sum, { writableLength }) => sum + writableLength, 0);
  };
  using client = await RawHttp2Client.connect(server.port, agent);
  const stream = client.open(Watch.path);
  const messages = messagesOf(stream);
  stream.write(grpcFrame(Watch.requestSerialize({ hello: {} })));
  await waitFor('the snapshot', () => messages.length === 1, LIMIT);
  stream.pause();

  await setHints(server, ids, 'first');
  await waitFor('the first change to wait for the reader', () => held() > 0, LIMIT);
  const atFirst = held();
  const rounds = 20;
  const heldBytes: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    await setHints(server, ids, `round ${round}`);
    heldBytes.push(held());
  }
  // One message of 500 entries, however many were said since.
  expect(atFirst).toBeLessThan(500_000);
  expect(Math.max(...heldBytes)).toBeLessThanOrEqual(atFirst);
  written.mockRestore();
  stream.resume();
  await waitFor('the reader to catch up', () => messages.length >= 3, LIMIT);
  expect(messages).toHaveLength(3);
  expect(messages[2]?.delta?.upsertedEntries).toHaveLength(500);
  expect(new Set(messages[2]?.delta?.upsertedEntries.map(({ hint }) => hint))).toEqual(
    new Set([`round ${rounds}`]),
  );
});

describe('what is no message', () => {
  const garbage = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x01]);
  it.each<[string, Buffer, number, RegExp]>([
    ['bytes that are no protobuf', grpcFrame(garbage), 13, /deserializing|parse/i],
    ['a message of a step that nobody knows', grpcFrame(Buffer.from([0x7a, 0x00])), 3, /step: is missing/],
    ['a message without a step', grpcFrame(Buffer.alloc(0)), 3, /step: is missing/],
    ['more bytes than are taken', grpcFrame(Buffer.alloc(0), 1 << 30), 8, /larger than max|message/i],
  ])(
    '%s ends the stream with a clear error',
    async (_what, body, code, message) => {
      await using server = await InProcessServer.start();
      const [agent, other] = [await server.attestNew(), await server.attestNew()];
      using client = await RawHttp2Client.connect(server.port, agent);
      const status = await client.send(Watch.path, body);
      expect(status.code).toBe(code);
      expect(status.message).toMatch(message);
      // The same after a hello, on a stream that is open.
      const stream = client.open(Watch.path);
      const told: number[] = [];
      stream.on('trailers', (trailers: IncomingHttpHeaders) => told.push(Number(trailers['grpc-status'])));
      const messages = messagesOf(stream);
      stream.write(grpcFrame(Watch.requestSerialize({ hello: {} })));
      await waitFor('the snapshot', () => messages.length === 1, LIMIT);
      stream.write(body);
      await waitFor('the stream to end', () => told.length === 1, LIMIT);
      expect(told).toEqual([code]);
      // The server is well, and so is the connection.
      for (const identity of [agent, other]) {
        const next = openBidiStream(await server.remote(SYNC, identity), 'Watch');
        await next.send({ hello: {} });
        expect((await next.messages.next()).value?.step).toBe('snapshotPage');
        next.cancel();
      }
    },
    300_000,
  );

  it('a message that is cut off ends the stream when the client does, and nothing else', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    using client = await RawHttp2Client.connect(server.port, agent);
    const hello = grpcFrame(Watch.requestSerialize({ hello: { agentVersion: 'one' } }));
    const status = await client.send(Watch.path, hello.subarray(0, hello.length - 1));
    expect(status.code).not.toBe(0);
    const next = openBidiStream(await server.remote(SYNC, agent), 'Watch');
    await next.send({ hello: {} });
    expect((await next.messages.next()).value?.step).toBe('snapshotPage');
    next.cancel();
  });
});
