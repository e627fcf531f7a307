/** Every kind of attestation, both halves over real TLS: how long one takes, how many there are in a second, and what the server spends. */
import { performance } from 'node:perf_hooks';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { percentile } from '../measuring/percentile.js';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import { launchBenchServer, type BenchServer } from './bench-server.js';
import { awsFleet, azureFleet, gcpFleet } from './cloud-fleets.js';
import type { Fleet } from './fleet.js';
import {
  configOf,
  httpChallengeFleet,
  joinTokenFleet,
  k8sPsatFleet,
  sshpopFleet,
  x509popFleet,
} from './key-fleets.js';
import { recordedMachine } from './machines.js';
import { Newcomers } from './newcomers.js';
import type { AttestationSizes } from './sizes.js';
import { SoftwareTpm } from './software-tpm.js';
import { tpmConfig } from './tpm-config.js';

const LANES = 8;

interface FleetFigures {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
  /** Of the server, for one. */
  readonly processorMs: number;
}

export async function fleetRows(sizes: AttestationSizes): Promise<readonly Row[]> {
  using directory = createTemporaryDirectory();
  const total = sizes.warming + sizes.alone + sizes.together;
  const tokens: string[] = [];
  const byToken = joinTokenFleet(tokens);
  const tpms = preparedTpms(total);
  const kubernetes = await k8sPsatFleet(directory);
  const configured = [byToken, await x509popFleet(directory), await sshpopFleet(directory), kubernetes];
  const aws = await awsFleet(directory);
  const azure = await azureFleet(directory);
  const google = await gcpFleet();
  const clouds = [aws, azure, google];
  await using server = await launchBenchServer({
    directory: directory.join('server'),
    attestors: { ...configOf(configured), tpm: tpmConfig(directory.path, tpms) },
    ...aws.order,
    ...azure.order,
    ...google.order,
  });
  const newcomers = await Newcomers.of(server);
  tokens.push(...(await newcomers.createTokens(total)));
  const [first, ...others] = [
    ...[...configured, httpChallengeFleet, ...clouds],
    {
      name: 'tpm',
      note: 'prepared keys in place of TPMs, with a boot log',
      attestorOf: (index: number) => tpmAt(tpms, index).attestor,
    },
  ] satisfies readonly Fleet[];
  try {
    const base = await measureFleet(first ?? byToken, { server, newcomers, sizes });
    const rows = rowsOf(byToken, base);
    for (const fleet of others) {
      rows.push(...rowsOf(fleet, await measureFleet(fleet, { server, newcomers, sizes }), base));
    }
    return rows;
  } finally {
    for (const cloud of clouds) await cloud.stop();
    await kubernetes.api[Symbol.asyncDispose]();
  }
}

interface Measuring {
  readonly server: BenchServer;
  readonly newcomers: Newcomers;
  readonly sizes: AttestationSizes;
}

async function measureFleet(fleet: Fleet, { server, newcomers, sizes }: Measuring): Promise<FleetFigures> {
  progress(`attestations by ${fleet.name}`);
  const { warming, alone, together } = sizes;
  await newcomers.attest(warming, LANES, (index) => fleet.attestorOf(index));
  const { latenciesMs } = await newcomers.attest(alone, 1, (index) => fleet.attestorOf(warming + index));
  const startedMs = performance.now();
  const { processorSeconds } = await server.costOf(() =>
    newcomers.attest(together, LANES, (index) => fleet.attestorOf(warming + alone + index)),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    p50: percentile(latenciesMs, 0.5),
    p99: percentile(latenciesMs, 0.99),
    perSecond: together / seconds,
    processorMs: (processorSeconds * 1000) / together,
  };
}

function rowsOf({ name, note }: Fleet, figures: FleetFigures, base?: FleetFigures): Row[] {
  const what = note === undefined ? name : `${name} (${note})`;
  const row = (text: string, key: keyof FleetFigures, unit: string): Row => ({
    ...{ what: `${what}: ${text}`, value: figures[key], unit },
    ...(base === undefined ? {} : { reference: { what: 'join_token', value: base[key], unit } }),
  });
  return [
    row('p50 of one at a time', 'p50', 'ms'),
    row('p99 of one at a time', 'p99', 'ms'),
    row(`${LANES} at a time`, 'perSecond', '/s'),
    row('server time of one', 'processorMs', 'ms'),
  ];
}

function preparedTpms(count: number): readonly SoftwareTpm[] {
  const machine = recordedMachine(['sha256']);
  return Array.from({ length: count }, () => new SoftwareTpm(machine));
}

function tpmAt(tpms: readonly SoftwareTpm[], index: number): SoftwareTpm {
  const tpm = tpms[index];
  if (tpm === undefined) throw new Error(`there is no TPM ${index}`);
  return tpm;
}
