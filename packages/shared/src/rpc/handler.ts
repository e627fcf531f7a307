/** Handlers as async functions: what they throw becomes the call's status, in one way for all services. */
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  StatusObject,
} from '@grpc/grpc-js';
import type { CallContext, ContextOf, ServerCall } from './call-context.js';
import { logFailure, toServiceError } from './status.js';

/** @param answer its result is sent; what it throws is the status. */
export function unaryHandler<Request, Response, Context extends CallContext>(
  contextOf: ContextOf<Context>,
  answer: (request: Request, call: ServerUnaryCall<Request, Response>, context: Context) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    void run(call, contextOf, (context) => answer(call.request, call, context)).then((outcome) => {
      if (outcome.kind === 'failed') callback(outcome.status);
      else callback(null, outcome.value);
    });
  };
}

/** @param serve writes to the call (see write-message.ts); the stream ends well when it returns, with a status when it throws. */
export function serverStreamHandler<Request, Response, Context extends CallContext>(
  contextOf: ContextOf<Context>,
  serve: (request: Request, call: ServerWritableStream<Request, Response>, context: Context) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    void run(call, contextOf, (context) => serve(call.request, call, context)).then((outcome) => {
      endStream(call, outcome);
    });
  };
}

/** @param serve reads (see read-messages.ts) and writes; the stream ends well when it returns, with a status when it throws. */
export function bidiHandler<Request, Response, Context extends CallContext>(
  contextOf: ContextOf<Context>,
  serve: (call: ServerDuplexStream<Request, Response>, context: Context) => Promise<void>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    void run(call, contextOf, (context) => serve(call, context)).then((outcome) => {
      endStream(call, outcome);
    });
  };
}

type Outcome<Value> =
  | { readonly kind: 'done'; readonly value: Value }
  | { readonly kind: 'failed'; readonly status: StatusObject };

/** Never rejects. */
async function run<Value, Context extends CallContext>(
  call: ServerCall,
  contextOf: ContextOf<Context>,
  work: (context: Context) => Promise<Value>,
): Promise<Outcome<Value>> {
  let context: Context | undefined;
  try {
    context = contextOf(call);
    return { kind: 'done', value: await work(context) };
  } catch (error) {
    if (context !== undefined) logFailure(error, context);
    return { kind: 'failed', status: toServiceError(error, context?.requestId) };
  }
}

/** `call.destroy(error)` would take the whole server down; an emitted error becomes the status. */
function endStream(
  call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  outcome: Outcome<void>,
): void {
  if (outcome.kind === 'failed') call.emit('error', outcome.status);
  else call.end();
}
