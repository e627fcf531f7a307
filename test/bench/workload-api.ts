/** What the agent does for workloads: how soon one has its identity, what many open streams cost, and whether renewing many SVIDs keeps any waiting. */
import type { BenchOptions } from './measuring/bench-options.js';
import { progress } from './measuring/progress.js';
import { latencyRows } from './workload-api/latency-rows.js';
import { MeasuredEndpoint } from './workload-api/measured-endpoint.js';
import { rotationRows } from './workload-api/rotation-rows.js';
import { FULL, QUICK, type WorkloadApiSizes } from './workload-api/sizes.js';
import { secretRows, streamRows } from './workload-api/stream-rows.js';
import type { Row } from './row.js';

const PARTS = {
  latency: withEndpoint(latencyRows),
  streams: withEndpoint(streamRows),
  secrets: withEndpoint(secretRows),
  rotation: rotationRows,
} as const;

type Part = keyof typeof PARTS;

export async function measure({ isQuick, only }: BenchOptions): Promise<Row[]> {
  const parts = Object.keys(PARTS) as Part[];
  const unknown = only.filter((name) => !parts.some((part) => part === name));
  if (unknown.length > 0) {
    throw new Error(`workload-api has no part ${unknown.join(', ')}; there are: ${parts.join(', ')}`);
  }
  const sizes = isQuick ? QUICK : FULL;
  const rows: Row[] = [];
  for (const part of parts.filter((name) => only.length === 0 || only.includes(name))) {
    progress(part);
    rows.push(...(await PARTS[part](sizes)));
  }
  return rows;
}

/** Each part has a process of its own, so that none has the memory of another. */
function withEndpoint(
  work: (endpoint: MeasuredEndpoint, sizes: WorkloadApiSizes) => Promise<readonly Row[]>,
): (sizes: WorkloadApiSizes) => Promise<readonly Row[]> {
  return async (sizes) => {
    using endpoint = await MeasuredEndpoint.start();
    return await work(endpoint, sizes);
  };
}
