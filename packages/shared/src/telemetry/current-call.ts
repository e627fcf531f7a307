/** The call that the running code works for, without being handed through every function: its request id, and its span. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { Span } from './span.js';

export interface CurrentCall {
  /** Of this program. */
  readonly requestId: string;
  /** Under which the caller logs it, if the caller said. */
  readonly callerRequestId: string | undefined;
  /** Of gRPC; undefined for work that is no call. */
  readonly path: string | undefined;
  readonly span: Span | undefined;
}

/** The metadata by which a call names its caller's request id. */
export const REQUEST_ID_HEADER = 'x-request-id';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const calls = new AsyncLocalStorage<CurrentCall>();

export function currentCall(): CurrentCall | undefined {
  return calls.getStore();
}

/** `work`, and all that it starts, is for that call. */
export function duringCall<T>(call: CurrentCall, work: () => T): T {
  return calls.run(call, work);
}

/** The id of the call of that path that is being served, or a new one; and what the log says of both sides. */
export function requestIdOf(path: string): {
  readonly requestId: string;
  readonly fields: { readonly request_id: string; readonly caller_request_id?: string };
} {
  const call = currentCall();
  const isServed = call?.path === path;
  const requestId = isServed ? call.requestId : randomUUID();
  const theirs = isServed ? call.callerRequestId : undefined;
  const fields = {
    request_id: requestId,
    ...(theirs === undefined ? {} : { caller_request_id: theirs }),
  };
  return { requestId, fields };
}

/** What a caller sent is written to logs: nothing but a UUID in lower case is taken. */
export function parseRequestId(value: string | Buffer | undefined): string | undefined {
  return typeof value === 'string' && UUID.test(value) ? value : undefined;
}
