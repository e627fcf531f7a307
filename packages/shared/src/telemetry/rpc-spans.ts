/** What a span says of a gRPC call, by OpenTelemetry's names. */
import { status } from '@grpc/grpc-js';
import type { Span, SpanAttributes } from './span.js';

export function callAttributes(path: string): SpanAttributes {
  const [, service = '', method = ''] = path.split('/');
  return { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
}

/** Only the first end counts. */
export function endCallSpan(span: Span | undefined, code: status): void {
  if (span === undefined || span.isOver) return;
  span.set({ 'rpc.grpc.status_code': code });
  span.end(code === status.OK ? undefined : status[code]);
}
