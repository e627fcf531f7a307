/** Real calls over a Unix socket, counted by the interceptor as a server has it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  credentials,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  status,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { systemClock } from '../runtime/clock.js';
import { silentLogger } from '../runtime/logger.js';
import { callContexts } from '../rpc/call-context.js';
import { callUnary, openServerStream } from '../rpc/client-call.js';
import { serverStreamHandler, unaryHandler } from '../rpc/handler.js';
import { loadService, type Handlers, type ServiceClient } from '../rpc/load-service.js';
import { writeMessage } from '../rpc/write-message.js';
import { currentCall } from './current-call.js';
import { MetricRegistry } from './metric-registry.js';
import { RpcMetrics } from './rpc-metrics.js';
import { createRpcTelemetry } from './rpc-telemetry.js';

type Health = Handlers<'grpc.health.v1.Health'>;

const LISTENER = 'listener="local"';
const CHECK = 'method="grpc.health.v1.Health/Check"';
const WATCH = 'method="grpc.health.v1.Health/Watch"';
const contexts = callContexts(silentLogger);
const serving: Health['Check'] = unaryHandler(contexts, () => Promise.resolve({ status: 'SERVING' }));
const failing: Health['Check'] = unaryHandler(contexts, () => Promise.reject(new Error('of a secret')));
/** Tells once, and goes on until its caller goes. */
const watching: Health['Watch'] = serverStreamHandler(contexts, async (_request, call, { signal }) => {
  await writeMessage(call, { status: 'SERVING' }, signal);
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
  });
});

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Served {
  readonly client: ServiceClient<'grpc.health.v1.Health'>;
  /** The value of a series by its name and some of its labels. */
  readonly value: (name: string, ...labels: readonly string[]) => Promise<number | undefined>;
}

async function serve(handlers: Partial<Health>, ...inner: readonly ServerInterceptor[]): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), 'rpc-telemetry-'));
  const registry = new MetricRegistry();
  const metrics = new RpcMetrics(registry, { listeners: ['local'], services: ['grpc.health.v1.Health'] });
  const telemetry = createRpcTelemetry({ metrics, listener: 'local', clock: systemClock });
  const server = new Server({ interceptors: [telemetry, ...inner] });
  const { definition, Client } = loadService('grpc.health.v1.Health');
  server.addService(definition, { Check: serving, List: serving, Watch: watching, ...handlers });
  const address = `unix:${join(folder, 's.sock')}`;
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  const client = new Client(address, credentials.createInsecure());
  cleanUps.push(
    () => rm(folder, { recursive: true }),
    () => {
      server.forceShutdown();
    },
    () => {
      client.close();
    },
  );
  return {
    client,
    value: async (name, ...labels) => {
      const lines = (await registry.text()).split('\n').filter((line) => line.startsWith(`${name}{`));
      const found = lines.find((line) => labels.every((label) => line.includes(label)));
      return found === undefined ? undefined : Number(found.slice(found.lastIndexOf(' ') + 1));
    },
  };
}

const HANDLED = 'bonafide_rpc_handled_total';
const DURATION = 'bonafide_rpc_duration_seconds_count';
const OPEN = 'bonafide_rpc_streams_open';

describe('the telemetry of calls', () => {
  it('counts each call once, with the status that its caller gets, and how long it took', async () => {
    const { client, value } = await serve({});
    for (let call = 0; call < 3; call += 1) await callUnary(client, 'Check', { service: '' });
    expect(await value(HANDLED, LISTENER, CHECK, 'code="OK"')).toBe(3);
    expect(await value(DURATION, LISTENER, CHECK)).toBe(3);
    expect(await value(DURATION, WATCH)).toBe(0);
  });

  it('counts what a handler did not expect as INTERNAL, which is what its caller gets', async () => {
    const { client, value } = await serve({ Check: failing });
    await expect(callUnary(client, 'Check', { service: '' })).rejects.toMatchObject({ reason: 'internal' });
    expect(await value(HANDLED, CHECK, 'code="INTERNAL"')).toBe(1);
    expect(await value(HANDLED, CHECK, 'code="OK"')).toBe(0);
  });

  it('counts calls that are refused before any handler hears of them', async () => {
    const refusal: ServerInterceptor = (_method, call) =>
      new ServerInterceptingCall(call, {
        start: (next) => {
          call.sendStatus({ code: status.PERMISSION_DENIED, details: 'not you' });
          next();
        },
      });
    const { client, value } = await serve({}, refusal);
    await expect(callUnary(client, 'Check', { service: '' })).rejects.toThrow(BonafideError);
    expect(await value(HANDLED, CHECK, 'code="PERMISSION_DENIED"')).toBe(1);
  });

  it('knows a stream as open until its caller gives it up, and then as cancelled', async () => {
    const { client, value } = await serve({});
    const stop = new AbortController();
    const stream = openServerStream(client, 'Watch', { service: '' }, { signal: stop.signal });
    expect(await stream[Symbol.asyncIterator]().next()).toMatchObject({ done: false });
    expect(await value(OPEN, LISTENER, WATCH)).toBe(1);
    stop.abort();
    await waitFor('the end of the stream', async () => (await value(OPEN, WATCH)) === 0);
    expect(await value(HANDLED, WATCH, 'code="CANCELLED"')).toBe(1);
    expect(await value(DURATION, WATCH)).toBe(0);
  });

  it('counts a unary call that its caller gives up, once', async () => {
    let begun = false;
    let answer: () => void = () => undefined;
    const slow: Health['Check'] = unaryHandler(contexts, async () => {
      begun = true;
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return { status: 'SERVING' };
    });
    const { client, value } = await serve({ Check: slow });
    const stop = new AbortController();
    const call = callUnary(client, 'Check', { service: '' }, { signal: stop.signal });
    await waitFor('the call', () => begun);
    stop.abort();
    await expect(call).rejects.toMatchObject({ reason: 'cancelled' });
    await waitFor('its count', async () => (await value(HANDLED, CHECK, 'code="CANCELLED"')) === 1);
    answer(); // too late
    await callUnary((await serve({})).client, 'Check', { service: '' });
    expect(await value(HANDLED, CHECK, 'code="OK"')).toBe(0);
    expect(await value(HANDLED, CHECK, 'code="CANCELLED"')).toBe(1);
  });

  it('gives each call a request id of its own, and takes from its caller only what is a UUID', async () => {
    const seen: (readonly [string | undefined, string | undefined])[] = [];
    const noting: Health['Check'] = unaryHandler(contexts, () => {
      const call = currentCall();
      seen.push([call?.requestId, call?.callerRequestId]);
      return Promise.resolve({ status: 'SERVING' });
    });
    const { client } = await serve({ Check: noting });
    const id = '5f8e0c39-6d4f-4c1c-9d0b-1f6b0d8f4a3e';
    for (const sent of [id, 'forged\\nline', 'x'.repeat(4000)]) {
      await callUnary(client, 'Check', { service: '' }, { metadata: { 'x-request-id': sent } });
    }
    expect(new Set(seen.map(([own]) => own)).size).toBe(3);
    expect(seen.map(([, theirs]) => theirs)).toEqual([id, undefined, undefined]);
    expect(seen.every(([own]) => own !== id)).toBe(true);
  });
});
