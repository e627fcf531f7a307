/** Real servers and clients over a Unix socket: what handlers throw is what callers catch. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, Server, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BonafideError, type Reason } from '../errors/bonafide-error.js';
import { silentLogger } from '../runtime/logger.js';
import { callContexts } from './call-context.js';
import { callUnary, openBidiStream, openServerStream } from './client-call.js';
import { bidiHandler, serverStreamHandler, unaryHandler } from './handler.js';
import { loadService, type Handlers, type ServiceClient } from './load-service.js';
import { readMessages } from './read-messages.js';
import { writeMessage } from './write-message.js';

const contexts = callContexts(silentLogger);
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

type AgentHandlers = Handlers<'spire.api.server.agent.v1.Agent'>;
type HealthHandlers = Handlers<'grpc.health.v1.Health'>;

const unimplemented: UntypedHandleCall = unaryHandler(contexts, () =>
  Promise.reject(new BonafideError('unimplemented', 'not here')),
);

async function serveAgents(
  handlers: Partial<AgentHandlers>,
): Promise<ServiceClient<'spire.api.server.agent.v1.Agent'>> {
  const { definition, Client } = loadService('spire.api.server.agent.v1.Agent');
  const address = await serve((server) => {
    const all = new Map(Object.keys(definition).map((name) => [name, unimplemented]));
    for (const [name, handler] of Object.entries(handlers)) if (handler !== undefined) all.set(name, handler);
    server.addService(definition, Object.fromEntries(all));
  });
  const client = new Client(address, credentials.createInsecure());
  cleanUps.push(() => {
    client.close();
  });
  return client;
}

async function serveHealth(watch: HealthHandlers['Watch']): Promise<ServiceClient<'grpc.health.v1.Health'>> {
  const { definition, Client } = loadService('grpc.health.v1.Health');
  const address = await serve((server) => {
    server.addService(definition, { Check: unimplemented, List: unimplemented, Watch: watch });
  });
  const client = new Client(address, credentials.createInsecure());
  cleanUps.push(() => {
    client.close();
  });
  return client;
}

async function serve(addServices: (server: Server) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rpc-'));
  const server = new Server();
  addServices(server);
  const address = `unix:${join(folder, 's.sock')}`;
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  cleanUps.push(
    () => rm(folder, { recursive: true }),
    () => {
      server.forceShutdown();
    },
  );
  return address;
}

async function failureOf(work: Promise<unknown>): Promise<BonafideError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BonafideError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a unary call', () => {
  it('answers what the handler returns', async () => {
    const client = await serveAgents({
      CountAgents: unaryHandler(contexts, (request) =>
        Promise.resolve({ count: request.filter?.byAttestationType.length ?? -1 }),
      ),
    });
    expect(await callUnary(client, 'countAgents', { filter: { byAttestationType: 'tpm' } })).toEqual({
      count: 3,
    });
  });

  it.each<Reason>([
    'invalid_argument',
    'not_found',
    'already_exists',
    'failed_precondition',
    'resource_exhausted',
    'unauthenticated',
    'permission_denied',
    'agent_banned',
    'agent_expired',
    'agent_not_active',
    'agent_not_attested',
    'agent_must_reattest',
    'aborted',
    'cancelled',
    'deadline_exceeded',
    'unavailable',
    'unimplemented',
    'internal',
  ])('carries the reason %s and its text to the caller', async (reason) => {
    const client = await serveAgents({
      CountAgents: unaryHandler(contexts, () => Promise.reject(new BonafideError(reason, 'no: "ü" \ud800'))),
    });
    const failure = await failureOf(callUnary(client, 'countAgents', {}));
    expect(failure.reason).toBe(reason);
    expect(failure.message).toBe('no: "ü" \ufffd');
  });

  it('hides what nobody foresaw behind a request id, and logs it under that id', async () => {
    const logged: unknown[] = [];
    const error = vi.fn((...line: unknown[]) => logged.push(line));
    const client = await serveAgents({
      CountAgents: unaryHandler(
        () => ({
          requestId: 'r-1',
          log: Object.assign(Object.create(silentLogger) as typeof silentLogger, { error }),
          signal: new AbortController().signal,
        }),
        () => Promise.reject(new TypeError('secret')),
      ),
    });
    const failure = await failureOf(callUnary(client, 'countAgents', {}));
    expect(failure.reason).toBe('internal');
    expect(failure.message).toBe('internal error (request id r-1)');
    expect(logged).toHaveLength(1);
  });

  it('tells the caller when to come back', async () => {
    const client = await serveAgents({
      CountAgents: unaryHandler(contexts, () =>
        Promise.reject(new BonafideError('resource_exhausted', 'too many', { retryAfterMs: 1250.5 })),
      ),
    });
    expect((await failureOf(callUnary(client, 'countAgents', {}))).retryAfterMs).toBe(1251);
  });

  it('ends with its deadline, and lets the handler know', async () => {
    let handlerSignal: AbortSignal | undefined;
    const client = await serveAgents({
      CountAgents: unaryHandler(contexts, (_request, _call, { signal }) => {
        handlerSignal = signal;
        return new Promise(() => undefined);
      }),
    });
    const failure = await failureOf(callUnary(client, 'countAgents', {}, { deadlineMs: 200 }));
    expect(failure.reason).toBe('deadline_exceeded');
    await vi.waitFor(
      () => {
        expect(handlerSignal?.aborted).toBe(true);
      },
      { timeout: 30_000 },
    );
  });

  it('ends with its signal, before and after it began', async () => {
    let began = false;
    const client = await serveAgents({
      CountAgents: unaryHandler(contexts, () => {
        began = true;
        return new Promise(() => undefined);
      }),
    });
    const end = new AbortController();
    const failure = failureOf(callUnary(client, 'countAgents', {}, { signal: end.signal }));
    await vi.waitFor(
      () => {
        expect(began).toBe(true);
      },
      { timeout: 30_000 },
    );
    end.abort();
    expect((await failure).reason).toBe('cancelled');
    expect((await failureOf(callUnary(client, 'countAgents', {}, { signal: end.signal }))).reason).toBe(
      'cancelled',
    );
  });
});

describe('a server stream', () => {
  it('delivers every message, then the status', async () => {
    const client = await serveHealth(
      serverStreamHandler(contexts, async (_request, call, { signal }) => {
        await writeMessage(call, { status: 'SERVING' }, signal);
        await writeMessage(call, { status: 'NOT_SERVING' }, signal);
        throw new BonafideError('agent_banned', 'the agent is banned');
      }),
    );
    const seen: string[] = [];
    const failure = await failureOf(
      (async () => {
        for await (const { status } of openServerStream(client, 'watch', {})) seen.push(status);
      })(),
    );
    expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
    expect(failure.reason).toBe('agent_banned');
  });

  it('is cancelled on the server when the reader stops, and a writer that waits is released', async () => {
    let released: unknown;
    const client = await serveHealth(
      serverStreamHandler(contexts, async (_request, call, { signal }) => {
        try {
          for (;;) await writeMessage(call, { status: 'SERVING' }, signal);
        } catch (error) {
          released = error;
          throw error;
        }
      }),
    );
    for await (const { status } of openServerStream(client, 'watch', {})) {
      expect(status).toBe('SERVING');
      break;
    }
    await vi.waitFor(
      () => {
        expect(released).toMatchObject({ reason: 'cancelled' });
      },
      { timeout: 30_000 },
    );
  });

  it('makes a writer wait for a reader that does not read', async () => {
    let written = 0;
    const client = await serveHealth(
      serverStreamHandler(contexts, async (_request, call, { signal }) => {
        for (;;) {
          await writeMessage(call, { status: 'SERVING' }, signal);
          written += 1;
        }
      }),
    );
    const stream = openServerStream(client, 'watch', {});
    await stream.next();
    let before = -1;
    await vi.waitFor(
      () => {
        const now = written;
        const still = now === before;
        before = now;
        expect(still).toBe(true);
      },
      { timeout: 60_000, interval: 200 },
    );
    await stream.return(undefined);
  });
});

describe('a bidirectional stream', () => {
  it('lets each side stop reading without ending the call', async () => {
    const client = await serveAgents({
      AttestAgent: bidiHandler(contexts, async (call, { signal }) => {
        const requests = readMessages(call);
        const first = await requests.next();
        expect(first.value?.params?.data?.type).toBe('join_token');
        await writeMessage(call, { challenge: Buffer.from('c') }, signal);
        for await (const answer of requests) {
          await writeMessage(
            call,
            { result: { reattestable: answer.challengeResponse?.toString() === 'r' } },
            signal,
          );
          break;
        }
      }),
    });
    const stream = openBidiStream(client, 'attestAgent');
    await stream.send({ params: { data: { type: 'join_token', payload: Buffer.from('t') } } });
    const challenge = await stream.messages.next();
    expect(challenge.value?.challenge).toEqual(Buffer.from('c'));
    await stream.send({ challengeResponse: Buffer.from('r') });
    expect((await stream.messages.next()).value?.result?.reattestable).toBe(true);
    expect((await stream.messages.next()).done).toBe(true);
    await expect(stream.send({ challengeResponse: Buffer.from('late') })).rejects.toThrow(BonafideError);
  });

  it('throws the status where the client reads and where it sends', async () => {
    const client = await serveAgents({
      AttestAgent: bidiHandler(contexts, () => Promise.reject(new BonafideError('agent_banned', 'banned'))),
    });
    const stream = openBidiStream(client, 'attestAgent');
    expect((await failureOf(stream.messages.next())).reason).toBe('agent_banned');
    expect((await failureOf(stream.send({}))).reason).toBe('agent_banned');
  });

  it('throws the status of a handler that fails while it reads and writes', async () => {
    const client = await serveAgents({
      AttestAgent: bidiHandler(contexts, async (call, { signal }) => {
        const requests = readMessages(call);
        await requests.next();
        const reading = requests.next();
        const writing = writeMessage(call, { challenge: Buffer.alloc(100_000) }, signal);
        const failing = Promise.reject(new BonafideError('agent_banned', 'banned'));
        await Promise.race([reading.then(() => writing), failing]);
      }),
    });
    const stream = openBidiStream(client, 'attestAgent');
    await stream.send({});
    await stream.messages.next();
    expect((await failureOf(stream.messages.next())).reason).toBe('agent_banned');
  });

  it('does not disturb the process when nobody looks at a call that failed', async () => {
    const client = await serveAgents({
      AttestAgent: bidiHandler(contexts, () => Promise.reject(new BonafideError('aborted', 'no'))),
      CountAgents: unaryHandler(contexts, () => Promise.resolve({ count: 1 })),
    });
    openBidiStream(client, 'attestAgent');
    await callUnary(client, 'countAgents', {});
    expect(await callUnary(client, 'countAgents', {})).toEqual({ count: 1 });
  });

  it('tells the handler when the client goes away in the middle', async () => {
    let seen = 0;
    let handlerSignal: AbortSignal | undefined;
    let hasEnded = false;
    const client = await serveAgents({
      AttestAgent: bidiHandler(contexts, async (call, { signal }) => {
        handlerSignal = signal;
        try {
          for await (const request of readMessages(call)) seen += request.challengeResponse?.length ?? 0;
        } finally {
          hasEnded = true;
        }
      }),
    });
    const stream = openBidiStream(client, 'attestAgent');
    await stream.send({ challengeResponse: Buffer.from('x') });
    await vi.waitFor(
      () => {
        expect(seen).toBe(1);
      },
      { timeout: 30_000 },
    );
    stream.cancel();
    await vi.waitFor(
      () => {
        expect(hasEnded).toBe(true);
        expect(handlerSignal?.aborted).toBe(true);
      },
      { timeout: 30_000 },
    );
  });
});
