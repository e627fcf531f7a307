/** Calls as promises and async iterables: what fails is a BonafideError, and every call ends with its signal. */
import {
  Metadata,
  type CallOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type requestCallback,
} from '@grpc/grpc-js';
import { BonafideError } from '../errors/bonafide-error.js';
import { deadlineAfter } from '../runtime/deadline.js';
import type {
  BidiMethodName,
  BidiRequest,
  BidiResponse,
  ServerStreamMethodName,
  ServerStreamRequest,
  ServerStreamResponse,
  UnaryMethodName,
  UnaryRequest,
  UnaryResponse,
} from './client-methods.js';
import { messagesOf } from './read-messages.js';
import { fromServiceError } from './status.js';
import { writeMessage } from './write-message.js';

export interface CallSettings {
  /** How long the whole call may take; a stream that is to live on has none. */
  readonly deadlineMs?: number | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined;
  /** Of a unary call: given the headers of the answer, before the answer. */
  readonly onHeaders?: ((headers: Metadata) => void) | undefined;
}

/** @throws BonafideError with the status's reason and text; `cancelled` when the signal fired. */
export function callUnary<C extends Client, Name extends UnaryMethodName<C>>(
  client: C,
  method: Name,
  request: UnaryRequest<C[Name]>,
  settings: CallSettings = {},
): Promise<UnaryResponse<C[Name]>> {
  type Response = UnaryResponse<C[Name]>;
  const start = methodOf(client, method) as (
    request: UnaryRequest<C[Name]>,
    metadata: Metadata,
    options: CallOptions,
    callback: requestCallback<Response>,
  ) => ClientUnaryCall;
  return new Promise((resolve, reject) => {
    if (settings.signal?.aborted === true) {
      reject(cancelled());
      return;
    }
    const call = start(request, metadataOf(settings), optionsOf(settings), (error, response) => {
      release();
      if (error !== null) reject(fromServiceError(error));
      else if (response === undefined)
        reject(new BonafideError('internal', 'the call ended without an answer'));
      else resolve(response);
    });
    const { onHeaders } = settings;
    if (onHeaders !== undefined) call.on('metadata', onHeaders);
    const release = cancelWith(settings.signal, call);
  });
}

/**
 * Starts the call when the first message is asked for, and cancels it when the reader stops. Ends when the server ends the stream well.
 * @throws BonafideError as callUnary.
 */
export async function* openServerStream<C extends Client, Name extends ServerStreamMethodName<C>>(
  client: C,
  method: Name,
  request: ServerStreamRequest<C[Name]>,
  settings: CallSettings = {},
): AsyncGenerator<ServerStreamResponse<C[Name]>, undefined> {
  const start = methodOf(client, method) as (
    request: ServerStreamRequest<C[Name]>,
    metadata: Metadata,
    options: CallOptions,
  ) => ClientReadableStream<ServerStreamResponse<C[Name]>>;
  if (settings.signal?.aborted === true) throw cancelled();
  const call = start(request, metadataOf(settings), optionsOf(settings));
  const outcome = watchOutcome(call);
  const release = cancelWith(settings.signal, call);
  try {
    yield* readUntilOutcome(call, outcome);
  } finally {
    release();
    call.cancel();
  }
  return undefined;
}

interface BidiStream<Request, Response> {
  /** Resolves once the message has left. @throws BonafideError with the call's status when it is over. */
  send(message: Request): Promise<void>;
  /** To be read once. Ends when the server ends the stream well; throws the call's status otherwise. */
  readonly messages: AsyncGenerator<Response, undefined>;
  /** Nothing more will be sent; what the server still says can be read. */
  end(): void;
  /** Cuts the call; harmless when it is over. */
  cancel(): void;
}

/** Starts the call at once. The caller must end or cancel it. */
export function openBidiStream<C extends Client, Name extends BidiMethodName<C>>(
  client: C,
  method: Name,
  settings: CallSettings = {},
): BidiStream<BidiRequest<C[Name]>, BidiResponse<C[Name]>> {
  const start = methodOf(client, method) as (
    metadata: Metadata,
    options: CallOptions,
  ) => ClientDuplexStream<BidiRequest<C[Name]>, BidiResponse<C[Name]>>;
  const call = start(metadataOf(settings), optionsOf(settings));
  const outcome = watchOutcome(call);
  const release = cancelWith(settings.signal, call);
  outcome.over.addEventListener('abort', release, { once: true });
  return {
    send: (message) =>
      writeMessage(call, message, outcome.over).catch((error: unknown) => {
        throw fromServiceError(outcome.failure() ?? error);
      }),
    messages: readUntilOutcome<BidiResponse<C[Name]>>(call, outcome),
    end: () => {
      call.end();
    },
    cancel: () => {
      call.cancel();
    },
  };
}

/** How a stream ended. gRPC tells it by an event that would be lost, or take the process down, if nobody listened from the start. */
interface Outcome {
  readonly over: AbortSignal;
  failure(): unknown;
}

function watchOutcome(call: ClientReadableStream<unknown>): Outcome {
  const over = new AbortController();
  let failure: unknown;
  call.on('error', (error) => {
    failure ??= error;
    over.abort();
  });
  call.on('status', () => {
    over.abort();
  });
  return { over: over.signal, failure: () => failure };
}

async function* readUntilOutcome<Response>(
  call: ClientReadableStream<Response>,
  outcome: Outcome,
): AsyncGenerator<Response, undefined> {
  try {
    yield* messagesOf<Response>(call);
  } catch (error) {
    throw fromServiceError(outcome.failure() ?? error);
  }
  const failure = outcome.failure();
  if (failure !== undefined) throw fromServiceError(failure);
  return undefined;
}

/** The overload with metadata and options, which all generated methods have but conditional types cannot pick. */
function methodOf(client: Client, name: PropertyKey): unknown {
  const method: unknown = Reflect.get(client, name);
  if (typeof method !== 'function')
    throw new BonafideError('internal', `the client has no method ${String(name)}`);
  return method.bind(client);
}

function metadataOf({ metadata = {} }: CallSettings): Metadata {
  const result = new Metadata();
  for (const [key, value] of Object.entries(metadata)) result.set(key, value);
  return result;
}

function optionsOf({ deadlineMs }: CallSettings): CallOptions {
  return deadlineMs === undefined ? {} : { deadline: deadlineAfter(deadlineMs) };
}

/** @returns what takes the listener away again. */
function cancelWith(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  const cancel = (): void => {
    call.cancel();
  };
  if (signal?.aborted === true) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return () => signal?.removeEventListener('abort', cancel);
}

function cancelled(): BonafideError {
  return new BonafideError('cancelled', 'cancelled before the call began');
}
