/** The metrics of one program, in the words of Prometheus: each says what it means, and has few series, whatever callers send. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { boundedLabels, knownCombinations, type LabelBounds, type LabelsOf } from './label-bounds.js';

export interface CounterMetric<Labels> {
  inc(labels: Labels, by?: number): void;
}

export interface GaugeMetric<Labels> {
  set(labels: Labels, value: number): void;
  inc(labels: Labels, by?: number): void;
  dec(labels: Labels, by?: number): void;
}

export interface HistogramMetric<Labels> {
  /** @param value in the unit that the name ends with. */
  observe(labels: Labels, value: number): void;
}

/** What a gauge is at a scrape. */
export type Sample<Bounds extends LabelBounds> = readonly [labels: LabelsOf<Bounds>, value: number];

const METRIC_TYPES = ['counter', 'gauge', 'histogram', 'summary'] as const;
type MetricType = (typeof METRIC_TYPES)[number];

export interface MetricDescription {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
}

/** Seconds, from a signature to what somebody gives up on. */
export const LATENCY_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

export class MetricRegistry {
  readonly #registry = new Registry();
  readonly #labels = new Map<string, readonly string[]>();

  /** Begins at zero for every value that is known beforehand, so that the first event is seen as an increase. */
  counter<const Bounds extends LabelBounds>(
    name: string,
    help: string,
    bounds: Bounds,
  ): CounterMetric<LabelsOf<Bounds>> {
    const bound = boundedLabels(bounds);
    const counter = new Counter(this.#configuration(name, help, bounds));
    for (const labels of knownCombinations(bounds)) counter.inc(labels, 0);
    return {
      inc: (labels, by = 1) => {
        counter.inc(bound(labels), by);
      },
    };
  }

  gauge<const Bounds extends LabelBounds>(
    name: string,
    help: string,
    bounds: Bounds,
  ): GaugeMetric<LabelsOf<Bounds>> {
    const bound = boundedLabels(bounds);
    const gauge = new Gauge(this.#configuration(name, help, bounds));
    return {
      set: (labels, value) => {
        gauge.set(bound(labels), value);
      },
      inc: (labels, by = 1) => {
        gauge.inc(bound(labels), by);
      },
      dec: (labels, by = 1) => {
        gauge.dec(bound(labels), by);
      },
    };
  }

  /** @param read is asked at each scrape, which waits for it; a label's value that it no longer names is gone. */
  gaugeOf<const Bounds extends LabelBounds>(
    name: string,
    help: string,
    bounds: Bounds,
    read: () => Iterable<Sample<Bounds>> | Promise<Iterable<Sample<Bounds>>>,
  ): void {
    const bound = boundedLabels(bounds);
    const none = Object.keys(bounds).map(() => '');
    new Gauge({
      ...this.#configuration(name, help, bounds),
      async collect() {
        const samples = await read();
        this.reset();
        this.remove(...none); // without labels a reset leaves a zero, which is a value too
        for (const [labels, value] of samples) this.set(bound(labels), value);
      },
    });
  }

  histogram<const Bounds extends LabelBounds>(
    name: string,
    help: string,
    bounds: Bounds,
    buckets: readonly number[] = LATENCY_BUCKETS,
  ): HistogramMetric<LabelsOf<Bounds>> {
    const bound = boundedLabels(bounds);
    const histogram = new Histogram({
      ...this.#configuration(name, help, bounds),
      buckets: [...buckets],
    });
    for (const labels of knownCombinations(bounds)) histogram.zero(labels);
    return {
      observe: (labels, value) => {
        histogram.observe(bound(labels), value);
      },
    };
  }

  /** Of the process itself: memory, processor, open files, the event loop. Costs a little all the time, so only for who is scraped. */
  addProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything, as Prometheus reads it. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  describe(): readonly MetricDescription[] {
    return this.#registry.getMetricsAsArray().map(({ name, help, type }) => ({
      name,
      help,
      // A word at run time, whatever prom-client's types say.
      type: METRIC_TYPES.find((known) => known === String(type)) ?? 'gauge',
      labels: this.#labels.get(name) ?? [],
    }));
  }

  #configuration(
    name: string,
    help: string,
    bounds: LabelBounds,
  ): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
    const labelNames = Object.keys(bounds);
    this.#labels.set(name, labelNames);
    return { name, help, labelNames, registers: [this.#registry] };
  }
}
