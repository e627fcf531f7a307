/** The two pictures of docs/benchmarks.md: how soon a change arrives, and what connected agents cost. */
import { cpus } from 'node:os';
import type { BenchOptions } from '../measuring/bench-options.js';
import { lineChartSvg, type Line } from '../measuring/line-chart.js';
import { POLL_INTERVAL_MS } from '../simulator/simulated-agent.js';
import type { AgentsLoad } from './agents.js';
import type { Latencies } from './propagation.js';

interface Measured {
  readonly latencies: Latencies;
  readonly loads: readonly AgentsLoad[];
}

const CAPTION = `npm run bench -- scale; Node ${process.versions.node}, ${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'})`;
const POLLING = `polling every ${POLL_INTERVAL_MS / 1000} s`;

export function drawCharts(chart: BenchOptions['chart'], { latencies, loads }: Measured): void {
  const most = loads.at(-1)?.agents ?? 0;
  chart(
    'propagation',
    lineChartSvg({
      title: `From the creation of an entry, ${most.toLocaleString('en')} agents connected`,
      caption: CAPTION,
      x: {
        label: 'milliseconds (until the SVID is at the workload; polling: until the agent has the entry)',
        scale: 'log',
      },
      y: { label: '% of entries that have arrived', scale: 'linear' },
      lines: [
        { name: 'pushed by Watch', points: distribution(latencies.pushedMs) },
        { name: POLLING, points: distribution(latencies.polledMs) },
      ],
    }),
  );
  chart(
    'agents',
    lineChartSvg({
      title: 'What connected agents cost the server while nothing changes',
      caption: CAPTION,
      x: { label: 'agents', scale: 'linear' },
      y: { label: '% of a core', scale: 'linear' },
      lines: [
        {
          name: 'watching',
          points: loads.map(({ agents, watching }) => [agents, watching.processorPercent]),
        },
        { name: POLLING, points: loads.map(({ agents, polling }) => [agents, polling.processorPercent]) },
      ],
    }),
  );
}

function distribution(values: readonly number[]): Line['points'] {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted.map((value, index) => [value, ((index + 1) / sorted.length) * 100]);
}
