import { rm, writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';

const LIMIT_MS = 300_000;
const READY_LIMIT_MS = 90_000;
const WEB = 'spiffe://example.org/web';

interface Node {
  readonly directory: TemporaryDirectory;
  readonly server: ConfigFile;
  readonly agent: ConfigFile;
  readonly agentId: string;
  /** Makes what the agent shows that of somebody else. */
  readonly impersonate: () => Promise<void>;
}

const pem = ({ certificate }: TestParty): string => encodePem('CERTIFICATE', certificate);

async function x509popNode(directory: TemporaryDirectory): Promise<Node> {
  const root = await createTestParty({ name: 'root', isCa: true });
  const [ca, key, certificate] = ['ca.pem', 'node.key', 'node.pem'].map((name) => directory.join(name));
  if (ca === undefined || key === undefined || certificate === undefined)
    throw new Error('a path is missing');
  const show = async (issuer: TestParty): Promise<void> => {
    const node = await createTestParty({ name: 'node7', issuer });
    await writeFile(certificate, pem(node));
    await writeFile(key, node.privateKey.export({ format: 'pem', type: 'pkcs8' }));
  };
  await writeFile(ca, pem(root));
  await show(root);
  const template = '/x509pop/{{ .Subject.CommonName }}';
  return {
    directory,
    server: { x509pop: { ca_bundle_path: ca, agent_path_template: template } },
    agent: { x509pop: { private_key_path: key, certificate_path: certificate } },
    agentId: 'spiffe://example.org/spire/agent/x509pop/node7',
    impersonate: async () => show(await createTestParty({ name: 'root', isCa: true })),
  };
}

async function sshpopNode(directory: TemporaryDirectory): Promise<Node> {
  const sshKeygen = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await runProcess('ssh-keygen', ['-q', ...args], { limitMs: READY_LIMIT_MS });
    if (code !== 0) throw new Error(`ssh-keygen ${args.join(' ')}: ${stderr}`);
  };
  const key = directory.join('host');
  const sign = (ca: string): Promise<void> =>
    sshKeygen('-s', directory.join(ca), '-I', 'node7', '-h', '-n', 'node7.example.org', `${key}.pub`);
  for (const name of ['ca', 'stranger', 'host']) {
    await sshKeygen('-t', 'ed25519', '-N', '', '-f', directory.join(name));
  }
  await sign('ca');
  const settings = { canonical_domain: 'example.org', agent_path_template: '/sshpop/{{ .Hostname }}' };
  return {
    directory,
    server: { sshpop: { cert_authorities_path: directory.join('ca.pub'), ...settings } },
    agent: { sshpop: { host_key_path: key, host_cert_path: `${key}-cert.pub` } },
    agentId: 'spiffe://example.org/spire/agent/sshpop/node7',
    impersonate: () => sign('stranger'),
  };
}

function launch(node: Node, server: LaunchedServer): Promise<LaunchedAgent> {
  return launchAgent({
    server,
    directory: node.directory.path,
    attestor: { config: node.agent, agentId: node.agentId },
    readyLimitMs: READY_LIMIT_MS,
  });
}

async function hasWeb(agent: LaunchedAgent): Promise<void> {
  await waitFor(
    'the SVID of the workload',
    async () => (await agent.command(['api', 'fetch', 'x509'])).stdout.includes(WEB),
    { limitMs: READY_LIMIT_MS, explain: () => agent.process.output },
  );
}

describe('real processes', () => {
  it.each([
    ['x509pop', x509popNode],
    ['sshpop', sshpopNode],
  ])(
    'a node attests by %s, once more when its data is lost, and not with what somebody else certified',
    { timeout: LIMIT_MS },
    async (_, prepare) => {
      using directory = createTemporaryDirectory();
      const node = await prepare(directory);
      const config = { plugins: { NodeAttestor: { join_token: undefined, ...node.server } } };
      await using server = await launchServer({
        ...{ directory: directory.path, config, readyLimitMs: READY_LIMIT_MS },
      });
      await server.commandOutput(
        ...['entry', 'create', '--parent-id', node.agentId, '--spiffe-id', WEB],
        ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`],
      );
      const agent = await launch(node, server);
      await hasWeb(agent);
      await agent.stop();

      await rm(agent.dataDirectory, { recursive: true });
      const again = await launch(node, server);
      await hasWeb(again);
      await again.stop();
      expect(await server.commandOutput('agent', 'count')).toMatch(/^1 attested agent/);

      await rm(agent.dataDirectory, { recursive: true });
      await node.impersonate();
      await expect(launch(node, server)).rejects.toThrow(
        /node attestation failed: .*(?:trusted|configured) authorities/,
      );
    },
  );
});
