import { writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { isServing } from '@bonafide/testing/health';
import { launchServer } from '@bonafide/testing/launch-server';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { programPath } from '@bonafide/testing/program-path';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty } from '@bonafide/testing/test-party';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSpire, launchSpireAgent, launchSpireServer, NEEDS_SPIRE } from './spire-programs.js';

interface Evidence {
  readonly type: 'x509pop' | 'sshpop';
  /** Settings of both halves; the files are in the test's folder. */
  readonly server: Readonly<Record<string, string>>;
  readonly agent: Readonly<Record<string, string>>;
}

/** As HCL, of which these settings are the simplest part. */
function hcl(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
    .join('\n');
}

describe.runIf(hasSpire)(`proof by certificates, with SPIRE at either end ${NEEDS_SPIRE}`, () => {
  let directory: TemporaryDirectory;

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    const root = await createTestParty({ name: 'root', isCa: true });
    for (const keyType of ['ec-p256', 'rsa-2048'] as const) {
      const node = await createTestParty({ name: keyType, issuer: root, keyType });
      await writeFile(
        directory.join(`${keyType}.key`),
        encodePem('PRIVATE KEY', exportPkcs8(node.privateKey)),
        { mode: 0o600 },
      );
      await writeFile(directory.join(`${keyType}.crt`), encodePem('CERTIFICATE', node.certificate));
    }
    await writeFile(directory.join('root.crt'), encodePem('CERTIFICATE', root.certificate));
    await sshKeygen('-t', 'ed25519', '-N', '', '-f', directory.join('ssh-ca'));
    await sshKeygen('-t', 'ecdsa', '-N', '', '-f', directory.join('ssh-host'));
    await sshKeygen(
      '-s',
      directory.join('ssh-ca'),
      '-I',
      'node',
      '-h',
      '-n',
      'node.example.org',
      directory.join('ssh-host.pub'),
    );
  });
  afterAll(() => {
    directory.remove();
  });

  async function sshKeygen(...args: readonly string[]): Promise<void> {
    const { code, stderr } = await runProcess('ssh-keygen', ['-q', ...args]);
    if (code !== 0) throw new Error(`ssh-keygen ${args.join(' ')}: ${stderr}`);
  }

  function evidenceOf(kind: string): Evidence {
    if (kind === 'ssh') {
      return {
        type: 'sshpop',
        server: { cert_authorities_path: directory.join('ssh-ca.pub'), canonical_domain: 'example.org' },
        agent: {
          host_key_path: directory.join('ssh-host'),
          host_cert_path: directory.join('ssh-host-cert.pub'),
        },
      };
    }
    return {
      type: 'x509pop',
      server: { ca_bundle_path: directory.join('root.crt') },
      agent: {
        private_key_path: directory.join(`${kind}.key`),
        certificate_path: directory.join(`${kind}.crt`),
      },
    };
  }

  it.each(['ec-p256', 'rsa-2048', 'ssh'])(
    'a stock agent proves itself to our server: %s',
    async (kind) => {
      const { type, server: settings, agent: own } = evidenceOf(kind);
      using place = createTemporaryDirectory({ isPublic: true });
      const config = { plugins: { NodeAttestor: { [type]: settings } } };
      await using server = await launchServer({ directory: place.path, config });
      const bundlePath = place.join('bundle.pem');
      await writeFile(bundlePath, await server.commandOutput('bundle', 'show'));
      const nodeAttestor = { type, settings: hcl(own) };
      await using agent = await launchSpireAgent({
        directory: place.path,
        serverPort: server.port,
        bundlePath,
        nodeAttestor,
      });
      expect(agent.process.output).toContain('Node attestation was successful');
      expect(await server.commandOutput('agent', 'list')).toContain(
        `spiffe://example.org/spire/agent/${type}/`,
      );
    },
    300_000,
  );

  it.each(['ec-p256', 'rsa-2048', 'ssh'])(
    'our agent proves itself to a stock server: %s',
    async (kind) => {
      const { type, server: settings, agent: own } = evidenceOf(kind);
      using place = createTemporaryDirectory({ isPublic: true });
      const server = await launchSpireServer(place.path, '', { type, settings: hcl(settings) });
      await using program = server.program;
      const bundlePath = place.join('bundle.pem');
      await writeFile(bundlePath, await program.command('bundle', 'show'));
      const [configuration, socketPath] = [place.join('agent.json'), place.join('agent.sock')];
      const agentConfig = {
        trust_domain: 'example.org',
        server_addresses: [`127.0.0.1:${server.port}`],
        ...{ socket_path: socketPath, data_dir: place.join('agent'), trust_bundle_path: bundlePath },
      };
      const plugins = { NodeAttestor: { [type]: own } };
      await writeFile(configuration, JSON.stringify({ agent: agentConfig, plugins }));
      await using agent = await LaunchedProcess.launch({
        name: 'agent',
        command: process.execPath,
        args: [programPath('agent'), 'run', '--config', configuration],
        readyLimitMs: 60_000,
        isReady: () => isServing(socketPath),
      });
      await waitFor(
        'the agent at the server',
        async () =>
          (await program.command('agent', 'list')).includes(`spiffe://example.org/spire/agent/${type}/`),
        { limitMs: 150_000, intervalMs: 250, explain: () => agent.output },
      );
    },
    300_000,
  );
});
