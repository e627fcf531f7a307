/** The tracer of a program that has `telemetry.OpenTelemetry`: OpenTelemetry's, which is loaded for nobody else. */
import type { Span as ApiSpan, SpanContext, Tracer as ApiTracer } from '@opentelemetry/api';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type * as OpenTelemetry from './open-telemetry.js';
import type { OpenTelemetryConfig } from './open-telemetry-config.js';
import type { RemoteSpan } from './traceparent.js';
import type { Span, SpanAttributes, SpanKind, SpanStart, Tracer } from './span.js';

interface OpenTracerOptions {
  /** Undefined: nothing is traced. */
  readonly config: OpenTelemetryConfig | undefined;
  /** For example `bonafide-agent`. */
  readonly program: string;
  readonly version: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Logger;
}

interface OpenedTracer {
  readonly tracer: Tracer;
  /** Sends what waits, within the configured timeout. */
  close(): Promise<void>;
}

/** Spans that wait for the collector; beyond it new ones are dropped. */
const MOST_WAITING = 2048;
const LARGEST_BATCH = 512;
const SEND_EVERY_MS = 1_000;
const LONGEST_ATTRIBUTE = 256;
const TELL_EVERY_MS = 60_000;

export async function openTracer(options: OpenTracerOptions): Promise<OpenedTracer | undefined> {
  const { config, program, version } = options;
  if (config === undefined) return undefined;
  const sdk = await import('./open-telemetry.js');
  const timeoutMillis = config.timeout * 1000;
  const exporter = new sdk.OTLPTraceExporter({
    url: tracesUrl(config.endpoint),
    headers: { ...config.headers },
    timeoutMillis,
  });
  const provider = new sdk.TracerProvider({
    resource: sdk.resourceFromAttributes({ 'service.name': program, 'service.version': version }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(config.sample_ratio) }),
    spanLimits: { attributeValueLengthLimit: LONGEST_ATTRIBUTE, attributeCountLimit: 32, linkCountLimit: 8 },
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: tellingOfFailures(exporter, options),
        maxQueueSize: MOST_WAITING,
        maxExportBatchSize: LARGEST_BATCH,
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: timeoutMillis,
      }),
    ],
  });
  const tracer = new OpenTelemetryTracer(sdk, provider.getTracer(program, version));
  return { tracer, close: () => provider.shutdown().catch(() => undefined) }; // a failure was told of
}

function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (url.pathname === '/') url.pathname = '/v1/traces';
  return url.href;
}

/** A collector that is gone costs the traces of that time, and one line a minute. */
function tellingOfFailures(exporter: SpanExporter, { config, clock, log }: OpenTracerOptions): SpanExporter {
  let toldAt = -Infinity;
  let lost = 0;
  return {
    export: (spans, done) => {
      exporter.export(spans, (result) => {
        if (result.error !== undefined) {
          lost += spans.length;
          const now = clock.monotonicMs();
          if (now - toldAt >= TELL_EVERY_MS) {
            toldAt = now;
            log.warn(
              { endpoint: config?.endpoint, spans: lost, reason: result.error.name },
              'traces could not be delivered; see that the collector answers at telemetry.OpenTelemetry.endpoint',
            );
            lost = 0;
          }
        }
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}

class OpenTelemetryTracer implements Tracer {
  readonly #api: typeof OpenTelemetry;
  readonly #tracer: ApiTracer;

  constructor(api: typeof OpenTelemetry, tracer: ApiTracer) {
    this.#api = api;
    this.#tracer = tracer;
  }

  start(name: string, { kind, attributes = {}, parent, link }: SpanStart): Span {
    const { ROOT_CONTEXT, trace } = this.#api;
    const context =
      parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, this.#contextOf(parent));
    const links = link === undefined ? [] : [{ context: this.#contextOf(link) }];
    const settings = { kind: this.#kindOf(kind), attributes: { ...attributes }, links };
    return this.#wrap(this.#tracer.startSpan(name, settings, context));
  }

  #wrap(inner: ApiSpan): Span {
    const { SpanStatusCode } = this.#api;
    const { traceId, spanId, traceFlags } = inner.spanContext();
    const remote: RemoteSpan = { traceId, spanId, isSampled: (traceFlags & 1) === 1 };
    let isOver = false;
    const span: Span = {
      remote,
      get isOver() {
        return isOver;
      },
      set: (attributes: SpanAttributes) => {
        inner.setAttributes({ ...attributes });
      },
      // What is not recorded needs no children, and names itself to whoever is called.
      child: (name, { kind, attributes }) =>
        remote.isSampled
          ? this.start(name, { kind, parent: remote, ...(attributes === undefined ? {} : { attributes }) })
          : span,
      end: (failure) => {
        if (isOver) return;
        isOver = true;
        if (failure !== undefined) inner.setStatus({ code: SpanStatusCode.ERROR, message: failure });
        inner.end();
      },
    };
    return span;
  }

  #kindOf(kind: SpanKind): number {
    const { SpanKind: kinds } = this.#api;
    return { server: kinds.SERVER, client: kinds.CLIENT, internal: kinds.INTERNAL }[kind];
  }

  #contextOf({ traceId, spanId, isSampled }: RemoteSpan): SpanContext {
    return { traceId, spanId, traceFlags: isSampled ? 1 : 0, isRemote: true };
  }
}
