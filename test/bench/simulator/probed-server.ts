/** A real server process with a probe in it. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { launchServer, type LaunchedServer, type LaunchServerOptions } from '@bonafide/testing/launch-server';
import { mergeConfig } from '@bonafide/testing/merge-config';
import { builtProgram } from '../measuring/bench-program.js';
import { forgetPeak, memoryOf, processorSeconds } from '../measuring/process-cost.js';
import type { ProbeReading } from './server-probe.js';

export interface ServerCost extends ProbeReading {
  readonly seconds: number;
  /** Of one core. */
  readonly processorPercent: number;
  readonly processorSeconds: number;
  readonly peakMb: number;
}

export interface ProbedServer {
  readonly server: LaunchedServer;
  /** @param options isLoopWatched: otherwise the delays of the event loop are not known, and cost nothing. */
  readonly costOf: (
    during: () => Promise<unknown>,
    options?: { readonly isLoopWatched?: boolean },
  ) => Promise<ServerCost>;
}

/** Its rate limits are off: all the agents of a simulator have one address. */
export async function launchProbedServer(options: LaunchServerOptions): Promise<ProbedServer> {
  const socketPath = join(options.directory, 'probe.sock');
  const server = await launchServer({
    ...options,
    isCompiled: true,
    config: mergeConfig(
      { server: { log_level: 'INFO', ratelimit: { attestation: false, signing: false } } },
      options.config ?? {},
    ),
    env: {
      ...options.env,
      NODE_OPTIONS: `--import=${pathToFileURL(builtProgram('simulator/server-probe')).href}`,
      BONAFIDE_BENCH_PROBE: socketPath,
    },
  });
  return { server, costOf: costMeter(() => server.process.pid, socketPath) };
}

/** @param socketPath of the probe in that process. */
export function costMeter(pidOf: () => number, socketPath: string): ProbedServer['costOf'] {
  return async (during, { isLoopWatched = false } = {}) => {
    const pid = pidOf();
    await readProbe(socketPath, isLoopWatched);
    forgetPeak(pid);
    const startedSeconds = processorSeconds(pid);
    const startedMs = performance.now();
    await during();
    const seconds = (performance.now() - startedMs) / 1000;
    const used = processorSeconds(pid) - startedSeconds;
    const reading = await readProbe(socketPath, false);
    return {
      ...reading,
      seconds,
      processorSeconds: used,
      processorPercent: (used / seconds) * 100,
      peakMb: memoryOf(pid).peakMb,
    };
  };
}

function readProbe(socketPath: string, isLoopWatched: boolean): Promise<ProbeReading> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(socketPath, () => socket.write(isLoopWatched ? 'loop' : 'read'));
    socket.setEncoding('utf8');
    socket.on('data', (some: string) => {
      text += some;
    });
    socket.once('error', reject);
    socket.once('end', () => {
      resolve(JSON.parse(text) as ProbeReading);
    });
  });
}
