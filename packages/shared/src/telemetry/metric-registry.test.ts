import { describe, expect, it } from 'vitest';
import { registerBuildInfo } from './build-info.js';
import { MetricRegistry } from './metric-registry.js';

/** Lines that are no comments. */
async function series(registry: MetricRegistry): Promise<readonly string[]> {
  return (await registry.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('MetricRegistry', () => {
  it('does not grow with what callers send: 10,000 different values of every label', async () => {
    const registry = new MetricRegistry();
    const counter = registry.counter('a_total', 'a', { method: new Set(['known']), name: 5 });
    const gauge = registry.gauge('b', 'b', { name: 5 });
    const histogram = registry.histogram('c_seconds', 'c', { name: 5 }, [1]);
    registry.gaugeOf('d', 'd', { name: 5 }, () =>
      Array.from({ length: 10_000 }, (_, index) => [{ name: `name-${index}` }, 1] as const),
    );
    for (let index = 0; index < 10_000; index += 1) {
      const name = `name-${index}`;
      counter.inc({ method: index % 2 === 0 ? 'known' : name, name });
      gauge.inc({ name });
      histogram.observe({ name }, 0.5);
    }
    const lines = await series(registry);
    const of = (prefix: string): number => lines.filter((line) => line.startsWith(prefix)).length;
    expect(of('a_total{')).toBeLessThanOrEqual(2 * 6);
    expect(of('b{')).toBe(6);
    expect(of('c_seconds_count{')).toBe(6);
    expect(of('d{')).toBe(6);
    expect(lines).toContain('b{name="other"} 9995');
  });

  it('keeps no long value, nor one that would break a line', async () => {
    const registry = new MetricRegistry();
    const counter = registry.counter('a_total', 'a', { name: 5 });
    counter.inc({ name: 'x'.repeat(100_000) });
    counter.inc({ name: 'a"} 1\nb_total{c="' });
    const text = await registry.text();
    expect(text.length).toBeLessThan(1000);
    expect(text).toContain('a_total{name="other"} 1');
    expect(text).not.toContain('\nb_total');
  });

  it('shows a counter of known values at zero, so that its first event is an increase', async () => {
    const registry = new MetricRegistry();
    registry.counter('a_total', 'a', { kind: ['x', 'y'], result: ['good', 'bad'] });
    expect(await series(registry)).toEqual([
      'a_total{kind="x",result="good"} 0',
      'a_total{kind="x",result="bad"} 0',
      'a_total{kind="y",result="good"} 0',
      'a_total{kind="y",result="bad"} 0',
    ]);
  });

  it('asks for what stands now at each scrape, and forgets what is gone', async () => {
    const registry = new MetricRegistry();
    let names = ['a', 'b'];
    registry.gaugeOf('held', 'held', { name: 10 }, () => names.map((name) => [{ name }, 1] as const));
    expect(await series(registry)).toEqual(['held{name="a"} 1', 'held{name="b"} 1']);
    names = ['b'];
    expect(await series(registry)).toEqual(['held{name="b"} 1']);
  });

  it('shows nothing of a gauge without labels that has no value yet', async () => {
    const registry = new MetricRegistry();
    const values: number[] = [];
    registry.gaugeOf('at', 'at', {}, () => values.map((value) => [{}, value] as const));
    expect(await series(registry)).toEqual([]);
    values.push(7);
    expect(await series(registry)).toEqual(['at 7']);
  });

  it('refuses a label without bound', () => {
    const registry = new MetricRegistry();
    for (const bound of [0, -1, Infinity, Number.NaN, 1_000_000]) {
      expect(() => registry.counter('a_total', 'a', { name: bound })).toThrow('label name must have 1 to');
    }
  });

  it('describes what it serves, and says which release it is', async () => {
    const registry = new MetricRegistry();
    registerBuildInfo(registry, 'bonafide-test');
    registry.addProcessMetrics();
    expect(await registry.text()).toMatch(/^bonafide_build_info\{program="bonafide-test",version="[\d.]+/m);
    const described = registry.describe();
    expect(described[0]).toMatchObject({ name: 'bonafide_build_info', type: 'gauge' });
    expect(described.map(({ name }) => name)).toContain('process_cpu_seconds_total');
  });
});
