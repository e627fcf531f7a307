/** What every handler knows about its call besides the message. */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import type { Logger } from '../runtime/logger.js';
import { callNames } from '../telemetry/call-names.js';
import { requestIdOf } from '../telemetry/current-call.js';

export interface CallContext {
  /** Names the call in the log, and in the text of an unexpected failure. */
  readonly requestId: string;
  /** Every line carries the method and the request id. */
  readonly log: Logger;
  /** Fires when the call is over, however it ended. */
  readonly signal: AbortSignal;
}

/** What calls of all kinds have in common. */
export interface ServerCall extends Pick<
  ServerUnaryCall<unknown, unknown>,
  'getPath' | 'getPeer' | 'getAuthContext' | 'getDeadline' | 'metadata'
> {
  once(event: 'cancelled', listener: () => void): unknown;
}

/** Finds or makes the context of a call; a program that identifies its callers brings its own. */
export type ContextOf<Context extends CallContext> = (call: ServerCall) => Context;

/** For programs that make no difference between callers. */
export function callContexts(log: Logger): ContextOf<CallContext> {
  return (call) => {
    const { requestId, fields } = requestIdOf(call.getPath());
    const end = new AbortController();
    call.once('cancelled', () => {
      end.abort();
    });
    return {
      requestId,
      log: log.child({ ...callNames(call.getPath()), ...fields }),
      signal: end.signal,
    };
  };
}
