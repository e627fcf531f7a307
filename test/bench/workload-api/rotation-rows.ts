/** All SVIDs of an agent are renewed at once: how long its event loop keeps workloads waiting meanwhile, beside making the keys and CSRs alone. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { benchProgram } from '../measuring/bench-program.js';
import type { LoopStalls } from '../measuring/loop-stalls.js';
import { median } from '../measuring/median.js';
import type { Row } from '../row.js';
import type { RotationMeasured } from './rotation-process.js';
import type { WorkloadApiSizes } from './sizes.js';

export async function rotationRows({ svids, rotations: rounds }: WorkloadApiSizes): Promise<readonly Row[]> {
  const { rotations, preparations } = await measured(svids, rounds);
  const count = svids.toLocaleString('en');
  const row = (what: string, of: (stalls: LoopStalls) => number, over = median): Row => ({
    what: `agent, ${count} cached SVIDs rotating: ${what}`,
    value: over(rotations.map(of)),
    unit: 'ms',
    reference: {
      what: `${count} P-256 keys and CSRs alone, same run`,
      value: over(preparations.map(of)),
      unit: 'ms',
    },
  });
  return [
    { ...row('event-loop stall p99', ({ p99Ms }) => p99Ms), target: '< 20 ms' },
    row(`longest event-loop stall of ${rounds} rotations`, ({ longestMs }) => longestMs, longest),
    row('until all are renewed', ({ ms }) => ms),
  ];
}

async function measured(svids: number, rounds: number): Promise<RotationMeasured> {
  using directory = createTemporaryDirectory();
  const { path, execArgv } = benchProgram('workload-api/rotation-process');
  const agent = fork(path, [directory.join('svids'), String(svids), String(rounds)], {
    execArgv: [...execArgv],
  });
  const isOver = new AbortController();
  const { signal } = isOver;
  try {
    const ended = once(agent, 'exit', { signal }).then(([code]) => {
      throw new Error(`the rotating agent ended with ${String(code)}`);
    });
    const [answer] = (await Promise.race([once(agent, 'message', { signal }), ended])) as [RotationMeasured];
    return answer;
  } finally {
    isOver.abort();
    if (agent.connected) agent.disconnect();
  }
}

function longest(values: readonly number[]): number {
  return Math.max(...values);
}
