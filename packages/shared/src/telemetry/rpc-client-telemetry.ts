/** The interceptor of a gRPC client: every call is seen from its beginning to the status that came back, and named to the server. */
import { randomUUID } from 'node:crypto';
import { InterceptingCall, status as codes, type Interceptor } from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { callNames } from './call-names.js';
import { currentCall, REQUEST_ID_HEADER } from './current-call.js';
import type { RpcClientMetrics } from './rpc-metrics.js';
import { callAttributes, endCallSpan } from './rpc-spans.js';
import { formatTraceparent, TRACEPARENT_HEADER } from './traceparent.js';
import type { Tracer } from './span.js';

export interface RpcClientTelemetryOptions {
  readonly metrics: Pick<RpcClientMetrics, 'begin'>;
  readonly tracer?: Tracer | undefined;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Logger;
}

export function createRpcClientTelemetry(options: RpcClientTelemetryOptions): Interceptor {
  const { metrics, tracer, clock, log } = options;
  return (callOptions, nextCall) => {
    const { path, requestStream, responseStream } = callOptions.method_definition;
    const startedAt = clock.monotonicMs();
    const isStream = requestStream || responseStream;
    const meter = metrics.begin({ path, isStream });
    const served = currentCall();
    const isServed = served !== undefined && served.span?.isOver !== true;
    const requestId = isServed ? served.requestId : randomUUID();
    const start = { kind: 'client', attributes: callAttributes(path) } as const;
    const parent = isServed ? served.span : undefined;
    const span = parent?.child(path.slice(1), start) ?? tracer?.start(path.slice(1), start);
    return new InterceptingCall(nextCall(callOptions), {
      start: (metadata, _listener, next) => {
        metadata.set(REQUEST_ID_HEADER, requestId);
        if (span !== undefined) metadata.set(TRACEPARENT_HEADER, formatTraceparent(span.remote));
        // Its own part only: with the methods of the other listener it would be taken for a whole one.
        next(metadata, {
          onReceiveMessage: (message, forward) => {
            if (isStream) endCallSpan(span, codes.OK);
            forward(message);
          },
          onReceiveStatus: (status, forward) => {
            meter.end(status.code, (clock.monotonicMs() - startedAt) / 1000);
            endCallSpan(span, status.code);
            log.debug(
              { ...callNames(path), request_id: requestId, status_code: status.code },
              'called the server',
            );
            forward(status);
          },
        });
      },
    });
  };
}
