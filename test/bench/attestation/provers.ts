/** Nodes that are attested and connected, and prove themselves as often as they are told. */
import { proveNode } from '@bonafide/agent/node-attestation/prove-node';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { inLanes } from '../simulator/in-lanes.js';
import type { ServerCost } from '../simulator/probed-server.js';
import { launchBenchServer, type BenchServer } from './bench-server.js';
import { withMeasuredFiles } from './machines.js';
import { Newcomers } from './newcomers.js';
import { SoftwareTpm, type Machine } from './software-tpm.js';
import { tpmConfig } from './tpm-config.js';

const LANES = 8;
const LIMIT_MS = 60_000;

export interface ProofCost extends ServerCost {
  /** Processor time of the server for one proof, in microseconds. */
  readonly us: number;
}

interface ProversParts {
  readonly server: BenchServer;
  readonly tpms: readonly SoftwareTpm[];
  readonly connections: readonly ReturnType<Newcomers['connect']>[];
  readonly remove: () => void;
}

export class Provers implements AsyncDisposable {
  readonly #parts: ProversParts;

  private constructor(parts: ProversParts) {
    this.#parts = parts;
  }

  /** @param count a multiple of 8, or less. @param files how many measured files may run; 0: nobody looks at them. */
  static async start(machine: Machine, count: number, files = 0): Promise<Provers> {
    const directory = createTemporaryDirectory();
    const first = files === 0 ? machine : withMeasuredFiles(machine, 1);
    const tpms = Array.from({ length: count }, () => new SoftwareTpm(first));
    const server = await launchBenchServer({
      directory: directory.path,
      attestors: { tpm: tpmConfig(directory.path, tpms, files) },
    });
    const newcomers = await Newcomers.of(server);
    const { svids } = await newcomers.attest(count, LANES, (index) => at(tpms, index).attestor);
    const connections = svids.map((svid) => newcomers.connect(svid));
    const remove = (): void => {
      directory.remove();
    };
    return new Provers({ server, tpms, connections, remove });
  }

  become(machine: Machine): void {
    for (const tpm of this.#parts.tpms) tpm.machine = machine;
  }

  revision(): number {
    return this.#parts.server.revision();
  }

  /** In turn, several at a time. @param isReboot whether each machine was started anew before its proof. */
  async prove(count: number, { isReboot = false } = {}): Promise<ProofCost> {
    const { server, tpms } = this.#parts;
    // A node has one proof at a time: each lane has nodes of its own.
    const lanes = Math.min(LANES, tpms.length);
    const cost = await server.costOf(() =>
      inLanes(lanes, lanes, async (lane) => {
        for (let index = lane; index < count; index += lanes) await this.#proveOne(index, isReboot);
      }),
    );
    return { ...cost, us: (cost.processorSeconds * 1e6) / count };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { server, connections, remove } = this.#parts;
    for (const connection of connections) connection.close();
    await server[Symbol.asyncDispose]();
    remove();
  }

  async #proveOne(index: number, isReboot: boolean): Promise<void> {
    const { tpms, connections } = this.#parts;
    const tpm = at(tpms, index);
    if (isReboot) tpm.resetCount += 1;
    const { isQuarantined, findings } = await proveNode({
      channel: at(connections, index).channel(),
      attestor: tpm.attestor,
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (isQuarantined || findings.length > 0) throw new Error(`a proof was refused: ${findings.join('; ')}`);
  }
}

function at<T>(values: readonly T[], index: number): T {
  const value = values[index % values.length];
  if (value === undefined) throw new Error('there is none');
  return value;
}
