/** What a span is, and who begins spans that have none above them. */
import type { RemoteSpan } from './traceparent.js';

/** Names and numbers; never selectors, keys, tokens or what a caller wrote. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export type SpanKind = 'server' | 'client' | 'internal';

export interface SpanStart {
  readonly kind: SpanKind;
  readonly attributes?: SpanAttributes;
  /** Of a caller that is trusted: the span is its child, and recorded when it is. */
  readonly parent?: RemoteSpan | undefined;
  /** Of a caller that is not: named, and followed in nothing. */
  readonly link?: RemoteSpan | undefined;
}

export interface Span {
  /** For the metadata of calls made on its behalf. */
  readonly remote: RemoteSpan;
  readonly isOver: boolean;
  set(attributes: SpanAttributes): void;
  child(name: string, start: Pick<SpanStart, 'kind' | 'attributes'>): Span;
  /** @param failure of what it stands for; undefined when it went well. Only the first call counts. */
  end(failure?: string): void;
}

export interface Tracer {
  start(name: string, start: SpanStart): Span;
}
