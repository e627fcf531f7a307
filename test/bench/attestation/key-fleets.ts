/** Nodes that show a key or a token which they have: join_token, x509pop, sshpop, http_challenge and k8s_psat. */
import { writeFileSync } from 'node:fs';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { KubernetesApiServer } from '@bonafide/testing/kubernetes-api-server';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { runProcess } from '@bonafide/testing/run-command';
import type { TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty } from '@bonafide/testing/test-party';
import { agentHalf, type Fleet } from './fleet.js';

/** Who may come again does so. */
const NODES = 32;

export interface ConfiguredFleet extends Fleet {
  /** Of the server's half. */
  readonly config: object;
}

/** @param tokens filled once there is a server to make them. */
export function joinTokenFleet(tokens: readonly string[]): ConfiguredFleet {
  return {
    name: 'join_token',
    config: {},
    attestorOf: (index) => agentHalf({ join_token: {} }, tokens[index]),
  };
}

export async function x509popFleet(directory: TemporaryDirectory): Promise<ConfiguredFleet> {
  const root = await createTestParty({ name: 'root', isCa: true });
  const middle = await createTestParty({ name: 'middle', isCa: true, issuer: root });
  const pem = (der: Buffer): string => encodePem('CERTIFICATE', der);
  writeFileSync(directory.join('x509pop-ca.pem'), pem(root.certificate));
  for (let index = 0; index < NODES; index += 1) {
    const node = await createTestParty({ name: `node ${index}`, issuer: middle });
    const key = encodePem('PRIVATE KEY', exportPkcs8(node.privateKey));
    writeFileSync(directory.join(`x509pop-${index}.key`), key, { mode: 0o600 });
    writeFileSync(directory.join(`x509pop-${index}.pem`), pem(node.certificate) + pem(middle.certificate));
  }
  return {
    name: 'x509pop',
    config: { ca_bundle_path: directory.join('x509pop-ca.pem') },
    attestorOf: (index) => {
      const file = directory.join(`x509pop-${index % NODES}`);
      return agentHalf({ x509pop: { private_key_path: `${file}.key`, certificate_path: `${file}.pem` } });
    },
  };
}

export async function sshpopFleet(directory: TemporaryDirectory): Promise<ConfiguredFleet> {
  const ca = directory.join('ssh-ca');
  await sshKeygen('-t', 'ed25519', '-N', '', '-f', ca);
  for (let index = 0; index < NODES; index += 1) {
    const file = directory.join(`ssh-${index}`);
    await sshKeygen('-t', 'ed25519', '-N', '', '-f', file);
    await sshKeygen('-s', ca, '-I', `node ${index}`, '-h', '-n', `node${index}.example.org`, `${file}.pub`);
  }
  return {
    name: 'sshpop',
    config: { cert_authorities_path: `${ca}.pub` },
    attestorOf: (index) => {
      const file = directory.join(`ssh-${index % NODES}`);
      return agentHalf({ sshpop: { host_key_path: file, host_cert_path: `${file}-cert.pub` } });
    },
  };
}

/** A name is good for one attestation. */
export const httpChallengeFleet: Fleet = {
  name: 'http_challenge',
  note: 'every name leads to this machine',
  attestorOf: (index) => agentHalf({ http_challenge: { hostname: `node-${index}.example.org` } }),
};

export interface KubernetesFleet extends ConfiguredFleet {
  readonly api: KubernetesApiServer;
}

export async function k8sPsatFleet(directory: TemporaryDirectory): Promise<KubernetesFleet> {
  const api = await KubernetesApiServer.start();
  writeFileSync(directory.join('kubeconfig'), api.kubeConfig());
  for (let index = 0; index < NODES; index += 1) {
    const { name: nodeName } = api.addNode({ name: `node-${index}` });
    const token = api.issueToken({ pod: api.addPod({ name: `agent-${index}`, nodeName }) });
    writeFileSync(directory.join(`psat-${index}`), token);
  }
  const cluster = {
    service_account_allow_list: ['spire:spire-agent'],
    kube_config_file: directory.join('kubeconfig'),
  };
  return {
    ...{ api, name: 'k8s_psat', note: 'the API server is a stand-in' },
    config: { clusters: { c1: cluster } },
    attestorOf: (index) =>
      agentHalf({ k8s_psat: { cluster: 'c1', token_path: directory.join(`psat-${index % NODES}`) } }),
  };
}

export function configOf(fleets: readonly ConfiguredFleet[]): ConfigFile {
  return Object.fromEntries(fleets.map(({ name, config }) => [name, config])) as ConfigFile;
}

async function sshKeygen(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProcess('ssh-keygen', ['-q', ...args], { limitMs: 120_000 });
  if (code !== 0) throw new Error(`ssh-keygen ${args.join(' ')}: ${stderr}`);
}
