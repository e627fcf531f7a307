/** What is counted of calls over gRPC, served and made: how many, how they ended, how long they took. */
import { loadService } from '../rpc/load-service.js';
import type { ServiceName } from '../rpc/services.js';
import type { CounterMetric, GaugeMetric, HistogramMetric, MetricRegistry } from './metric-registry.js';
import { GRPC_CODES, grpcCodeName } from './grpc-codes.js';

/** Of one call, from its first byte on. */
export interface CallMeter {
  /** @param code of gRPC. To be called once, at the end; a call that was given up ends with 1 (CANCELLED). */
  end(code: number, seconds: number): void;
}

export interface MeteredMethod {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly isStream: boolean;
}

interface Call {
  readonly listener: string;
  readonly method: string;
}

interface Ended {
  readonly code: (typeof GRPC_CODES)[number];
}

export class RpcMetrics {
  readonly #handled: CounterMetric<Call & Ended>;
  readonly #duration: HistogramMetric<Call>;
  readonly #streams: GaugeMetric<Call>;

  constructor(
    registry: MetricRegistry,
    {
      listeners,
      services,
    }: { readonly listeners: readonly string[]; readonly services: readonly ServiceName[] },
  ) {
    const call = { listener: listeners, method: methodsOf(services) };
    this.#handled = registry.counter(
      'bonafide_rpc_handled_total',
      'Calls that ended, by the status that the caller got',
      { ...call, code: GRPC_CODES },
    );
    this.#duration = registry.histogram(
      'bonafide_rpc_duration_seconds',
      'From the start to the end of calls that are not streams',
      call,
    );
    this.#streams = registry.gauge('bonafide_rpc_streams_open', 'Streams that are open', call);
  }

  begin(listener: string, { path, isStream }: MeteredMethod): CallMeter {
    const labels = { listener, method: path.slice(1) };
    if (isStream) this.#streams.inc(labels);
    return {
      end: (code, seconds) => {
        this.#handled.inc({ ...labels, code: grpcCodeName(code) });
        if (isStream) this.#streams.dec(labels);
        else this.#duration.observe(labels, seconds);
      },
    };
  }
}

/** Of the calls that a program makes itself. */
export class RpcClientMetrics {
  readonly #handled: CounterMetric<Omit<Call, 'listener'> & Ended>;
  readonly #duration: HistogramMetric<Omit<Call, 'listener'>>;

  constructor(registry: MetricRegistry, services: readonly ServiceName[]) {
    const method = methodsOf(services);
    this.#handled = registry.counter(
      'bonafide_rpc_client_handled_total',
      'Calls to a server that ended, by the status that came back',
      { method, code: GRPC_CODES },
    );
    this.#duration = registry.histogram(
      'bonafide_rpc_client_duration_seconds',
      'From the start to the end of calls to a server that are not streams',
      { method },
    );
  }

  begin({ path, isStream }: MeteredMethod): CallMeter {
    const method = path.slice(1);
    return {
      end: (code, seconds) => {
        this.#handled.inc({ method, code: grpcCodeName(code) });
        if (!isStream) this.#duration.observe({ method }, seconds);
      },
    };
  }
}

function methodsOf(services: readonly ServiceName[]): ReadonlySet<string> {
  return new Set(
    services.flatMap((name) => Object.values(loadService(name).definition).map(({ path }) => path.slice(1))),
  );
}
