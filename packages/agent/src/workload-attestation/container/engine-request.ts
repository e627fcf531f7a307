/** One question to a container engine, over HTTP on its Unix socket: bounded in time and size, and asked of the user it is meant for only. */
import { request as httpRequest, type Agent, type IncomingMessage } from 'node:http';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { readPeerUid, socketDescriptor } from '@bonafide/shared/unix-socket/peer-credentials';

export interface EngineRequest {
  readonly socketPath: string;
  readonly agent: Agent;
  readonly path: string;
  /** As one of whom the engine must run, by the kernel's word. */
  readonly engineUids: readonly number[];
  readonly limitMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface EngineAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** A container with thousands of labels and variables has less. */
const LARGEST_ANSWER = 2 * 1024 * 1024;

/**
 * @throws BonafideError `unavailable` when there is no whole answer, `deadline_exceeded` when there is none in time, `permission_denied`
 * when somebody else listens there, `failed_precondition` when the answer is too long.
 */
export async function askEngine(options: EngineRequest): Promise<EngineAnswer> {
  const { clock, limitMs, signal, socketPath } = options;
  const stop = new AbortController();
  const timer = clock.schedule(limitMs, () => {
    stop.abort(
      new BonafideError(
        'deadline_exceeded',
        `the engine at ${socketPath} did not answer within ${limitMs} ms`,
      ),
    );
  });
  try {
    return await exchange(options, AbortSignal.any([signal, stop.signal]));
  } catch (error) {
    if (stop.signal.aborted) throw stop.signal.reason;
    if (error instanceof BonafideError) throw error;
    throw new BonafideError('unavailable', `cannot ask the engine at ${socketPath}: ${errorMessage(error)}`, {
      cause: error,
    });
  } finally {
    timer.cancel();
  }
}

function exchange(
  { agent, engineUids, path, socketPath }: EngineRequest,
  signal: AbortSignal,
): Promise<EngineAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { host: 'engine', accept: 'application/json', 'user-agent': 'bonafide' };
    const request = httpRequest({ socketPath, path, agent, headers, signal });
    const fail = (error: Error): void => {
      reject(error);
      request.destroy();
    };
    request.on('error', reject);
    request.on('socket', (socket) => {
      // Nothing is said before it is known who listens: the path may lead anywhere, in a folder that belongs to a user.
      const onConnected = (): void => {
        try {
          const uid = readPeerUid(socketDescriptor(socket));
          if (!engineUids.includes(uid)) throw notTheEngineOf(engineUids, uid, socketPath);
          request.end();
        } catch (error) {
          fail(error instanceof Error ? error : new Error(String(error)));
        }
      };
      if (socket.connecting) socket.once('connect', onConnected);
      else onConnected();
    });
    request.on('response', (response) => {
      collect(response).then(resolve, fail);
    });
  });
}

async function collect(response: IncomingMessage): Promise<EngineAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_ANSWER) {
      throw new BonafideError(
        'failed_precondition',
        `the engine's answer is longer than ${LARGEST_ANSWER} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks) };
}

function notTheEngineOf(expected: readonly number[], found: number, socketPath: string): BonafideError {
  return new BonafideError(
    'permission_denied',
    `who listens at ${socketPath} is user ${found}; about this container only an engine of user ${expected.join(' or ')} is believed`,
  );
}
