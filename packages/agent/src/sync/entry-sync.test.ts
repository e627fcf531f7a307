import { setImmediate as nextTurn } from 'node:timers/promises';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { watchRequestFromProto, watchResponseToProto } from '@bonafide/shared/rpc/codec/watch-message';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { WatchCursor, WatchRequest, WatchResponse } from '@bonafide/shared/sync/watch-message';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { credentials, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServerChannel, ServerChannels } from '../agent-identity/server-connection.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { EntrySync } from './entry-sync.js';

type Watch = ServerDuplexStream<unknown, unknown>;

/** A real gRPC server whose Watch says what the test tells it to. */
class ScriptedServer implements AsyncDisposable {
  readonly requests: WatchRequest[] = [];
  readonly streams = new Set<Watch>();
  opened = 0;
  readonly #server = new Server();
  readonly #directory = createTemporaryDirectory();
  readonly target = `unix:${this.#directory.join('watch.sock')}`;

  async start(): Promise<this> {
    this.#server.addService(loadService('bonafide.sync.v1.Sync').definition, {
      Watch: (stream: Watch) => {
        this.opened += 1;
        this.streams.add(stream);
        stream.on('data', (request: Parameters<typeof watchRequestFromProto>[0]) => {
          this.requests.push(watchRequestFromProto(request));
        });
        stream.on('error', () => undefined);
        for (const event of ['cancelled', 'end'] as const)
          stream.on(event, () => this.streams.delete(stream));
      },
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(this.target, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return this;
  }

  say(message: WatchResponse): void {
    for (const stream of this.streams) stream.write(watchResponseToProto(message));
  }

  get hellos(): readonly (WatchCursor | undefined)[] {
    return this.requests.flatMap((request) => (request.kind === 'hello' ? [request.cursor] : []));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    this.#directory.remove();
    return Promise.resolve();
  }
}

const delta = (revision: number): WatchResponse => ({
  kind: 'delta',
  logId: 'log',
  revision,
  upsertedEntries: [],
  removedEntryIds: [],
  upsertedBundles: [],
  removedBundleTrustDomains: [],
});

/** Servers by address: the first is the present one. */
class ScriptedConnection implements ServerChannels, Disposable {
  discarded = 0;
  confirmed = 0;
  isOtherThere = true;
  readonly #channels: ServerChannel[];
  readonly #clients: { close(): void }[] = [];

  constructor(servers: readonly ScriptedServer[]) {
    this.#channels = servers.map(({ target }) => {
      const { Client } = loadService('bonafide.sync.v1.Sync');
      const client = new Client(target, credentials.createInsecure());
      this.#clients.push(client);
      const channel = { identity: undefined, superseded: new AbortController().signal, client: () => client };
      return channel as ServerChannel;
    });
  }

  channel(): ServerChannel {
    const [present] = this.#channels;
    if (present === undefined) throw new Error('no server');
    return present;
  }
  discard(): boolean {
    this.discarded += 1;
    return false;
  }
  confirm(): void {
    this.confirmed += 1;
  }
  hasAlternative(): Promise<boolean> {
    return Promise.resolve(this.#channels.length > 1);
  }
  moveAway(): Promise<boolean> {
    if (this.isOtherThere) this.#channels.shift();
    return Promise.resolve(this.isOtherThere);
  }
  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}

describe('EntrySync', () => {
  let clock: FakeClock;
  let stopping: AbortController;
  let ended: Promise<void>;
  let applied: number[];
  let cursor: WatchCursor | undefined;
  let connected: number;

  beforeEach(() => {
    clock = new FakeClock();
    stopping = new AbortController();
    ended = Promise.resolve();
    applied = [];
    cursor = undefined;
    connected = 0;
  });
  afterEach(async () => {
    stopping.abort();
    await ended;
    expect(clock.pendingTimers).toBe(0);
  });

  function start(connection: ServerChannels, random = () => 0.5): EntrySync {
    const sync = new EntrySync({
      connection,
      cache: new SvidCache({ trustDomain: TRUST_DOMAIN, clock, log: silentLogger, maximumSvids: 10 }),
      apply: (_change, reached) => {
        cursor = reached;
        applied.push(reached?.revision ?? 0);
      },
      cursor: () => cursor,
      reportRefusal: () => undefined,
      explain: String,
      onConnected: () => (connected += 1),
      agentVersion: '1.0.0',
      random,
      clock,
      log: silentLogger,
    });
    ended = sync.run(stopping.signal);
    return sync;
  }

  it('goes to another server within the spread when its own is about to stop, and hears that one until then', async () => {
    await using first = await new ScriptedServer().start();
    await using second = await new ScriptedServer().start();
    using connection = new ScriptedConnection([first, second]);
    const sync = start(connection);
    await waitFor('the stream', () => first.hellos.length === 1);
    first.say(delta(1));
    first.say({ kind: 'drain', spreadMs: 10_000 });
    await waitFor('the drain', () => applied.length === 1 && clock.pendingTimers > 0);
    await clock.advance(4_000);
    first.say(delta(2));
    await waitFor('what the old server still says', () => applied.at(-1) === 2);
    expect(second.opened).toBe(0);
    await clock.advance(1_100);
    await waitFor('the stream at the other one', () => second.hellos.length === 1);
    expect(second.hellos).toEqual([{ logId: 'log', revision: 2 }]);
    await waitFor('the end of the old stream', () => first.streams.size === 0);
    second.say(delta(3));
    await waitFor('the other one', () => applied.at(-1) === 3);
    expect(applied).toEqual([1, 2, 3]);
    expect([connection.discarded, sync.isConnected, connected]).toEqual([0, true, 1]);
  });

  it('stays as long as its server speaks when no other one answers', async () => {
    await using first = await new ScriptedServer().start();
    await using second = await new ScriptedServer().start();
    using connection = new ScriptedConnection([first, second]);
    connection.isOtherThere = false;
    start(connection);
    await waitFor('the stream', () => first.hellos.length === 1);
    first.say({ kind: 'drain', spreadMs: 1_000 });
    await waitFor('the drain', () => clock.pendingTimers > 0);
    await clock.advance(1_000);
    first.say(delta(1));
    await waitFor('what the server still says', () => applied.length === 1);
    expect(second.opened).toBe(0);
  });

  it('makes way at once for the only server there is, and comes back after a pause', async () => {
    await using only = await new ScriptedServer().start();
    using connection = new ScriptedConnection([only]);
    start(connection);
    await waitFor('the stream', () => only.hellos.length === 1);
    only.say(delta(7));
    only.say({ kind: 'drain', spreadMs: 600_000 });
    await waitFor('the end of the stream', () => only.streams.size === 0 && clock.pendingTimers > 0);
    expect(only.opened).toBe(1);
    await clock.advance(90);
    expect(only.opened).toBe(1);
    await clock.advance(1_000);
    await waitFor('the next stream', () => only.hellos.length === 2);
    expect(only.hellos[1]).toEqual({ logId: 'log', revision: 7 });
  });

  it('need not wait when somebody else has reached the server, unless the server asked for it', async () => {
    await using server = await new ScriptedServer().start();
    using connection = new ScriptedConnection([server]);
    const sync = start(connection, () => 0.999);
    const end = (error: BonafideError | undefined, more: object = {}): void => {
      for (const stream of server.streams) {
        stream.emit('error', { code: error === undefined ? 14 : 8, details: 'gone', ...more });
        server.streams.delete(stream);
      }
    };
    await waitFor('the stream', () => server.hellos.length === 1);
    end(undefined);
    await waitFor('the pause', () => clock.pendingTimers > 0);
    sync.retryNow();
    await waitFor('the next stream', () => server.hellos.length === 2);
    end(new BonafideError('resource_exhausted', 'busy'));
    await waitFor('the pause', () => clock.pendingTimers > 0);
    sync.retryNow();
    await nextTurn();
    expect(server.hellos).toHaveLength(2);
  });

  it('spreads a thousand agents of a server that dies over the first second', async () => {
    const delays = Array.from({ length: 1000 }, () => {
      let first: number | undefined;
      const other = new FakeClock();
      const scope = new AbortController();
      const sync = new EntrySync({
        connection: {
          channel: () => ({
            identity: undefined,
            superseded: scope.signal,
            client: () => {
              throw new BonafideError('unavailable', 'nobody there');
            },
          }),
          discard: () => true,
          confirm: () => undefined,
          hasAlternative: () => Promise.resolve(true),
          moveAway: () => Promise.resolve(false),
        },
        cache: new SvidCache({ trustDomain: TRUST_DOMAIN, clock, log: silentLogger, maximumSvids: 10 }),
        apply: () => undefined,
        cursor: () => undefined,
        reportRefusal: () => undefined,
        explain: String,
        agentVersion: '1.0.0',
        random: Math.random,
        clock: other,
        log: silentLogger,
      });
      const run = sync.run(scope.signal);
      return { other, run, scope, delay: () => (first ??= other.nextTimerMs) };
    });
    await waitFor('all of them to wait', () => delays.every(({ delay }) => delay() !== undefined));
    const times = delays.map(({ delay }) => delay() ?? 0).toSorted((a, b) => a - b);
    expect(times[0]).toBeGreaterThanOrEqual(100);
    expect(times.at(-1)).toBeLessThanOrEqual(1_000);
    for (let start = 100; start < 1_000; start += 100) {
      const count = times.filter((time) => time >= start && time < start + 100).length;
      expect(count).toBeGreaterThan(50);
      expect(count).toBeLessThan(180);
    }
    for (const { run, scope } of delays) {
      scope.abort();
      await run;
    }
  });
});
