/** A node with a software TPM (swtpm), by the code of the real agent, and what the commands of that TPM take by themselves in the same run. */
import { writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { proveNode } from '@bonafide/agent/node-attestation/prove-node';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { quotePcrs } from '@bonafide/shared/tpm/device/commands/attestation';
import { createPrimary } from '@bonafide/shared/tpm/device/commands/objects';
import { NO_PASSWORD } from '@bonafide/shared/tpm/device/tpm';
import { ATTESTATION_TEMPLATE, encodeKeyTemplate } from '@bonafide/shared/tpm/key-template';
import { makeCredential } from '@bonafide/shared/tpm/proof/make-credential';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import { tpmName } from '@bonafide/shared/tpm/tpm-public';
import { swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { SoftwareNode } from '@bonafide/testing/software-node';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { percentile } from '../measuring/percentile.js';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import { launchBenchServer } from './bench-server.js';
import { devIdNode } from './devid-node.js';
import { agentHalf } from './fleet.js';
import { EVENT_LOG_PATH, recordedMachine } from './machines.js';
import { Newcomers } from './newcomers.js';
import type { AttestationSizes } from './sizes.js';

const PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];
const EXTRA_DATA = Buffer.alloc(32, 7);
const LIMIT_MS = 60_000;
/** SPIRE's way: the key that certifies is made anew, an RSA one. */
const DEVID = 'tpm_devid (swtpm, P-256)';

export async function swtpmRows({ ofSwtpm: count }: AttestationSizes): Promise<readonly Row[]> {
  if (!swtpmIsInstalled()) {
    progress('no software TPM is installed: its rows are left out');
    return [];
  }
  progress('a node with a software TPM');
  using directory = createTemporaryDirectory();
  await using node = await SoftwareNode.launch({ banks: ['sha256'] });
  await node.boot(recordedMachine(['sha256']).eventLog);
  const roots = directory.join('ek-roots.pem');
  writeFileSync(roots, node.swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der)).join(''));
  const devId = await devIdNode(node.swtpm, directory);
  const policy = { secure_boot: 'required' };
  await using server = await launchBenchServer({
    directory: directory.path,
    attestors: {
      tpm: { ek_roots: [roots], proof: { interval: '0' }, policy },
      tpm_devid: { ...devId.config, endorsement_ca_path: roots },
    },
  });
  const newcomers = await Newcomers.of(server);
  const attestor = agentHalf({
    tpm: { device: node.swtpm.path, event_log_path: fileURLToPath(EVENT_LOG_PATH) },
  });
  await newcomers.attest(1, 1, () => attestor);
  const { latenciesMs, svids } = await newcomers.attest(count, 1, () => attestor);
  const connection = newcomers.connect(svids.at(-1));
  const proofsMs = await timesOf(count, () =>
    proveNode({ channel: connection.channel(), attestor, signal: AbortSignal.timeout(LIMIT_MS) }),
  );
  connection.close();
  progress('a node with a DevID in a software TPM');
  const byDevId = await newcomers.attest(count, 1, () => devId.attestor);
  const alone = await commandTimes(node.swtpm, count);
  const attesting = { what: 'all of it that the TPM does', ...inMs(alone.attestation) };
  const proving = { what: 'all of it that the TPM does', ...inMs(alone.proof) };
  return [
    { what: 'tpm (swtpm): p50 of one at a time', ...p(latenciesMs, 0.5), reference: attesting },
    { what: 'tpm (swtpm): p99 of one at a time', ...p(latenciesMs, 0.99), reference: attesting },
    { what: 'tpm (swtpm): a proof, p50', ...p(proofsMs, 0.5), reference: proving },
    { what: 'tpm (swtpm): a proof, p99', ...p(proofsMs, 0.99), reference: proving },
    { what: `${DEVID}: p50 of one at a time`, ...p(byDevId.latenciesMs, 0.5) },
    { what: `${DEVID}: p99 of one at a time`, ...p(byDevId.latenciesMs, 0.99) },
    { what: 'swtpm alone: TPM2_CreatePrimary (P-256)', ...inMs(alone.createPrimary) },
    { what: 'swtpm alone: TPM2_Quote', ...inMs(alone.quote) },
    { what: 'swtpm alone: TPM2_ActivateCredential with its session and key', ...inMs(alone.activate) },
  ];
}

/** Medians, in milliseconds. */
interface CommandTimes {
  readonly createPrimary: number;
  readonly quote: number;
  readonly activate: number;
  readonly attestation: number;
  readonly proof: number;
}

async function commandTimes(swtpm: Swtpm, count: number): Promise<CommandTimes> {
  const open = (): Promise<TpmDevice> => TpmDevice.open({ path: swtpm.path });
  const attest = async (device: TpmDevice): Promise<void> => {
    const ek = await device.endorsementKey();
    const ak = await device.attestationKey();
    const made = makeCredential(ek.public, tpmName(ak), Buffer.alloc(32));
    await device.activate(made.credential, made.secret);
    await prove(device);
  };
  const prove = async (device: TpmDevice): Promise<void> => {
    await device.activeBanks();
    await device.quote('sha256', PCRS, EXTRA_DATA);
  };
  const whole = async (work: (device: TpmDevice) => Promise<void>): Promise<number> =>
    percentile(
      await timesOf(count, async () => {
        await using device = await open();
        await work(device);
      }),
      0.5,
    );
  const attestation = await whole(attest);
  const proof = await whole(prove);
  await using device = await open();
  const ek = await device.endorsementKey();
  const ak = await device.attestationKey();
  const made = makeCredential(ek.public, tpmName(ak), Buffer.alloc(32));
  const template = encodeKeyTemplate(ATTESTATION_TEMPLATE.ecc);
  const createMs: number[] = [];
  const quoteMs: number[] = [];
  for (let round = 0; round < count; round += 1) {
    await device.run(async (turn) => {
      const startedMs = performance.now();
      const key = await createPrimary(turn, 'endorsement', { template, authorization: NO_PASSWORD });
      const madeMs = performance.now();
      await quotePcrs(turn, key, { bank: 'sha256', pcrs: PCRS, extraData: EXTRA_DATA });
      quoteMs.push(performance.now() - madeMs);
      createMs.push(madeMs - startedMs);
    });
  }
  const activateMs = await timesOf(count, () => device.activate(made.credential, made.secret));
  return {
    createPrimary: percentile(createMs, 0.5),
    quote: percentile(quoteMs, 0.5),
    activate: percentile(activateMs, 0.5),
    attestation,
    proof,
  };
}

async function timesOf(count: number, work: () => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let round = 0; round < count; round += 1) {
    const startedMs = performance.now();
    await work();
    times.push(performance.now() - startedMs);
  }
  return times;
}

function p(values: readonly number[], share: number): { readonly value: number; readonly unit: string } {
  return inMs(percentile(values, share));
}

function inMs(value: number): { readonly value: number; readonly unit: string } {
  return { value, unit: 'ms' };
}
