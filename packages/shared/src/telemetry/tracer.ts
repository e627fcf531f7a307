/** Spans: what a call spends its time on, told to an OpenTelemetry collector where one is configured, and to nobody where none is. */
import { currentCall, duringCall } from './current-call.js';
import type { Span, SpanAttributes } from './span.js';

/** Below the current one, for its beginner to end; undefined outside of a traced call. */
export function beginSpan(name: string, attributes: SpanAttributes = {}): Span | undefined {
  const parent = currentSpan();
  if (parent === undefined || parent.isOver || !parent.remote.isSampled) return undefined;
  return parent.child(name, { kind: 'internal', attributes });
}

/** Runs `work` in a span below the current one. Outside of a traced call it costs a look. */
export async function inSpan<T>(
  name: string,
  attributes: SpanAttributes,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  const call = currentCall();
  const span = beginSpan(name, attributes);
  if (call === undefined || span === undefined) return work(undefined);
  try {
    const result = await duringCall({ ...call, span }, () => work(span));
    span.end();
    return result;
  } catch (error) {
    span.end(failureOf(error));
    throw error;
  }
}

/** Of the running call. */
export function currentSpan(): Span | undefined {
  return currentCall()?.span;
}

/** The kind of failure: messages may hold what callers wrote. */
export function failureOf(error: unknown): string {
  if (error instanceof Error && 'reason' in error && typeof error.reason === 'string') return error.reason;
  return 'internal';
}
