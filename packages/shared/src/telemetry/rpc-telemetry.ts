/** The outermost interceptor of a gRPC server: every call is seen from its first byte to the status that its caller gets, refused ones too. */
import { randomUUID } from 'node:crypto';
import {
  ServerInterceptingCall,
  status,
  type Metadata,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.js';
import { duringCall, parseRequestId, REQUEST_ID_HEADER, type CurrentCall } from './current-call.js';
import type { RpcMetrics } from './rpc-metrics.js';
import { callAttributes, endCallSpan } from './rpc-spans.js';
import { parseTraceparent, TRACEPARENT_HEADER } from './traceparent.js';
import type { Tracer } from './span.js';

export interface RpcTelemetryOptions {
  readonly metrics: Pick<RpcMetrics, 'begin'>;
  /** Over what a call came, for example `tls`; or what tells it by the `remoteAddress` of its connection. */
  readonly listener: string | ((connection: string | undefined) => string);
  readonly tracer?: Tracer | undefined;
  /** Whether the caller at this `remoteAddress` may say whose child its calls are; the traces of others are only linked to. */
  readonly trustsTraces?: (connection: string | undefined) => boolean;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** To be the first of a server's interceptors: gRPC calls the last one first, so that this one sees what the others answer. */
export function createRpcTelemetry(options: RpcTelemetryOptions): ServerInterceptor {
  const { metrics, listener, clock } = options;
  return ({ path, requestStream, responseStream }, call) => {
    const startedAt = clock.monotonicMs();
    const connection = connectionOf(call);
    const name = typeof listener === 'string' ? listener : listener(connection);
    const isStream = requestStream || responseStream;
    const meter = metrics.begin(name, { path, isStream });
    let current: CurrentCall | undefined;
    let hasEnded = false;
    const end = (code: status): void => {
      if (hasEnded) return;
      hasEnded = true;
      meter.end(code, (clock.monotonicMs() - startedAt) / 1000);
      endCallSpan(current?.span, code);
    };
    const within = (work: () => void): void => {
      if (current === undefined) work();
      else duringCall(current, work);
    };
    return new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, proceed) => {
            current = currentCallOf(path, metadata, connection, options);
            within(() => {
              proceed(metadata);
            });
          },
          onReceiveMessage: (message, proceed) => {
            within(() => {
              proceed(message);
            });
          },
          onReceiveHalfClose: (proceed) => {
            within(proceed);
          },
          onCancel: () => {
            end(status.CANCELLED);
          },
        });
      },
      sendMessage: (message, next) => {
        // A stream may live for weeks: what its caller waits for is the first answer.
        if (isStream) endCallSpan(current?.span, status.OK);
        next(message);
      },
      sendStatus: (answer, next) => {
        end(answer.code);
        next(answer);
      },
    });
  };
}

function currentCallOf(
  path: string,
  metadata: Metadata,
  connection: string | undefined,
  { tracer, trustsTraces }: RpcTelemetryOptions,
): CurrentCall {
  const requestId = randomUUID();
  const caller = parseTraceparent(metadata.get(TRACEPARENT_HEADER)[0]);
  const trust = trustsTraces?.(connection) === true ? { parent: caller } : { link: caller };
  return {
    requestId,
    callerRequestId: parseRequestId(metadata.get(REQUEST_ID_HEADER)[0]),
    path,
    span: tracer?.start(path.slice(1), {
      kind: 'server',
      attributes: { ...callAttributes(path), 'bonafide.request_id': requestId },
      ...trust,
    }),
  };
}

function connectionOf(call: ServerInterceptingCallInterface): string | undefined {
  return call.getConnectionInfo().remoteAddress;
}
