/**
 * Loaded into a server process before its program (`node --import`): counts the SQL statements at the drivers and watches the event loop.
 * The program knows nothing of it.
 */
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

export interface ProbeReading {
  /** Since the last reading. */
  readonly statements: number;
  readonly loopP99Ms: number;
  readonly loopMaxMs: number;
}

const LOOP_RESOLUTION_MS = 10;
const NANOSECONDS_PER_MS = 1e6;

type Method = (this: unknown, ...parameters: unknown[]) => unknown;

const socketPath = process.env['BONAFIDE_BENCH_PROBE'];
if (isMainThread && socketPath !== undefined) await listen(socketPath);

async function listen(path: string): Promise<void> {
  let statements = 0;
  const count = (): void => {
    statements += 1;
  };
  const { SqliteDriver } = await import('@bonafide/server/store/sqlite-driver');
  const connection = new SqliteDriver(':memory:');
  countCalls(Object.getPrototypeOf(connection.prepare('SELECT 1')), ['run', 'all', 'get', 'iterate'], count);
  connection.close();
  const fromServer = createRequire(
    fileURLToPath(import.meta.resolve('@bonafide/server/store/sqlite-driver')),
  );
  const { Client } = fromServer('pg') as { Client: { prototype: unknown } };
  countCalls(Client.prototype, ['query'], count);

  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // whoever asked has gone
    socket.on('data', (command) => {
      const reading: ProbeReading = {
        statements,
        // The delays include the wait itself.
        loopP99Ms: Math.max(0, loop.percentile(99) / NANOSECONDS_PER_MS - LOOP_RESOLUTION_MS),
        loopMaxMs: Math.max(0, loop.max / NANOSECONDS_PER_MS - LOOP_RESOLUTION_MS),
      };
      statements = 0;
      loop.reset();
      // Its timers cost a little, which an idle server would be blamed for.
      if (command.toString() === 'loop') loop.enable();
      else loop.disable();
      socket.end(JSON.stringify(reading));
    });
  });
  rmSync(path, { force: true }); // of a process that was killed
  server.listen(path);
  server.unref();
}

function countCalls(prototype: unknown, names: readonly string[], count: () => void): void {
  const methods = prototype as Record<string, Method>;
  for (const name of names) {
    const method = methods[name];
    if (method === undefined) throw new Error(`the driver has no method ${name} to be counted`);
    methods[name] = function (...parameters) {
      count();
      return method.apply(this, parameters);
    };
  }
}
