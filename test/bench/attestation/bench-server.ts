/** A server process of its own, whose time, statements and revisions are counted while something happens to it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SqliteDriver } from '@bonafide/server/store/sqlite-driver';
import { findFreePort } from '@bonafide/testing/free-port';
import { isServing } from '@bonafide/testing/health';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { benchProgram } from '../measuring/bench-program.js';
import type { AgentsServer } from '../simulator/attest-agents.js';
import { costMeter, type ProbedServer } from '../simulator/probed-server.js';
import type { CloudOrder, ServerOrder } from './server-order.js';

export interface BenchServer extends AgentsServer, AsyncDisposable {
  readonly costOf: ProbedServer['costOf'];
  /** The number of the last one. */
  revision(): number;
}

interface BenchServerOptions extends CloudOrder {
  readonly directory: string;
  /** By type. */
  readonly attestors: ConfigFile;
}

const TRUST_DOMAIN = 'example.org';
const READY_LIMIT_MS = 180_000;

/** Its rate limits are off: all nodes have one address. */
export async function launchBenchServer({
  directory,
  attestors,
  ...clouds
}: BenchServerOptions): Promise<BenchServer> {
  const port = await findFreePort();
  const data = join(directory, 'data');
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const socketPath = join(directory, 'api.sock');
  const probePath = join(directory, 'probe.sock');
  const order: ServerOrder = {
    ...clouds,
    config: {
      server: {
        ...{ trust_domain: TRUST_DOMAIN, bind_address: '127.0.0.1', bind_port: port },
        ...{ socket_path: socketPath, data_dir: data, drain_spread: '0s' },
        ratelimit: { attestation: false, signing: false },
      },
      plugins: {
        KeyManager: { disk: { keys_path: join(data, 'keys.json') } },
        NodeAttestor: attestors,
      },
    },
  };
  const orderPath = join(directory, 'order.json');
  writeFileSync(orderPath, JSON.stringify(order));
  const { path, execArgv } = benchProgram('attestation/server-process');
  const launched = await LaunchedProcess.launch({
    name: 'server',
    command: process.execPath,
    args: [...execArgv, path, orderPath],
    env: { BONAFIDE_BENCH_PROBE: probePath },
    readyLimitMs: READY_LIMIT_MS,
    isReady: () => isServing(socketPath),
  });
  return {
    ...{ trustDomain: TRUST_DOMAIN, port, socketPath },
    costOf: costMeter(() => launched.pid, probePath),
    revision: () => readRevision(join(data, 'datastore.sqlite3')),
    [Symbol.asyncDispose]: () => launched[Symbol.asyncDispose](),
  };
}

function readRevision(path: string): number {
  const database = new SqliteDriver(path, { readonly: true });
  try {
    const row = database.prepare('select revision from log_head').get() as { readonly revision: number };
    return row.revision;
  } finally {
    database.close();
  }
}
