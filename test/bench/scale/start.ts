/** A server starts with a large registry: until it serves, what it holds in memory, and how soon a change arrives beside so much else. */
import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { MIGRATIONS } from '@bonafide/server/store/sql/migrations';
import { SqliteDriver } from '@bonafide/server/store/sqlite-driver';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { percentile } from '../measuring/percentile.js';
import { memoryOf } from '../measuring/process-cost.js';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import { launchProbedServer } from '../simulator/probed-server.js';
import { Registry } from '../simulator/registry.js';
import { Simulator } from '../simulator/simulator.js';
import { makeRegistry } from './make-registry.js';
import type { ScaleSizes } from './sizes.js';
import { ALIAS_PATH, formatCount, SELECTOR, workloadId } from './world.js';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

const READY_LIMIT_MS = 300_000;
const CREATIONS = 50;
const MEGABYTES_A_GIGABYTE = 1024;

export async function startRows(sizes: ScaleSizes, cacheDirectory: string): Promise<readonly Row[]> {
  const made = await registryFile(sizes, cacheDirectory);
  using directory = createTemporaryDirectory();
  const path = directory.join('registry.sqlite3');
  await copyFile(made, path, constants.COPYFILE_FICLONE);
  progress('reading all its rows with the driver');
  const readSeconds = readAll(path);
  progress('starting a server with it');
  const startedMs = performance.now();
  const probed = await launchProbedServer({
    directory: directory.path,
    readyLimitMs: READY_LIMIT_MS,
    config: { plugins: { DataStore: { sql: { database_type: 'sqlite3', connection_string: path } } } },
  });
  await using server = probed.server;
  const readySeconds = (performance.now() - startedMs) / 1000;
  const memory = memoryOf(server.process.pid);
  progress('an agent follows its entries beside all the others');
  using simulator = await Simulator.start({ servers: [server], agents: 1, aliasPath: ALIAS_PATH });
  using registry = new Registry(server.socketPath);
  await simulator.follow({ manner: 'watch', isFresh: true });
  const times = await creations(registry, simulator, server.trustDomain);

  const size = `${formatCount(sizes.registryEntries)} entries and ${formatCount(sizes.registryAgents)} agents`;
  return [
    {
      what: `server start with ${size}: until it serves`,
      value: readySeconds,
      unit: 's',
      target: '< 15 s',
      reference: {
        what: 'the driver alone reads each row once, same run',
        value: readSeconds,
        unit: 's',
      },
    },
    {
      what: 'its memory then',
      value: memory.residentMb / MEGABYTES_A_GIGABYTE,
      unit: 'GB',
      target: '< 1.5 GB',
    },
    { what: 'the most it had until then', value: memory.peakMb / MEGABYTES_A_GIGABYTE, unit: 'GB' },
    {
      what: `entry created beside them until its agent has it: p50`,
      value: percentile(times, 0.5),
      unit: 'ms',
    },
    {
      what: `entry created beside them until its agent has it: p99`,
      value: percentile(times, 0.99),
      unit: 'ms',
    },
  ];
}

/** Made once for each shape of registry and tables. */
async function registryFile(
  { registryEntries, registryAgents }: ScaleSizes,
  cacheDirectory: string,
): Promise<string> {
  const maker = await readFile(new URL('./registry-rows.js', import.meta.url));
  const shape = createHash('sha256')
    .update(maker)
    .update(Object.keys(MIGRATIONS).join())
    .digest('hex')
    .slice(0, 12);
  const path = join(cacheDirectory, `registry-${registryEntries}-${registryAgents}-${shape}.sqlite3`);
  if (existsSync(path)) return path;
  progress(`making a registry of ${registryEntries} entries, which is kept for the next time`);
  await mkdir(cacheDirectory, { recursive: true });
  const unfinished = `${path}.unfinished`;
  await rm(unfinished, { force: true });
  await makeRegistry(unfinished, { entries: registryEntries, agents: registryAgents });
  await rename(unfinished, path);
  return path;
}

/** Roughly what any server has to do that reads all of its entries anew; SPIRE's do so regularly. @returns seconds. */
function readAll(path: string): number {
  const database = new SqliteDriver(path, { readonly: true });
  const startedMs = performance.now();
  let rows = 0;
  for (const table of ['entries', 'nodes']) {
    for (const row of database.prepare(`select * from ${table}`).iterate()) rows += row === null ? 0 : 1;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  database.close();
  if (rows === 0) throw new Error('the registry is empty');
  return seconds;
}

async function creations(
  registry: Registry,
  simulator: Simulator,
  trustDomain: string,
): Promise<readonly number[]> {
  const alias = parseSpiffeId(`spiffe://${trustDomain}${ALIAS_PATH}`);
  const times: number[] = [];
  for (let index = 0; index < CREATIONS; index += 1) {
    const spiffeId = workloadId(`beside/${index}`);
    const startedMs = performance.timeOrigin + performance.now();
    await registry.create(alias, spiffeId, SELECTOR);
    times.push(...(await simulator.arrivals(spiffeId)).map((atMs) => atMs - startedMs));
  }
  return times;
}
