import { writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { isServing } from '@bonafide/testing/health';
import { launchServer } from '@bonafide/testing/launch-server';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { programPath } from '@bonafide/testing/program-path';
import { provisionDevId } from '@bonafide/testing/provision-devid';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty } from '@bonafide/testing/test-party';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSpire, launchSpireAgent, launchSpireServer, NEEDS_SPIRE } from './spire-programs.js';

const LIMIT_MS = 240_000;
const AGENT_PREFIX = 'spiffe://example.org/spire/agent/tpm_devid/';

type Settings = Readonly<Record<string, string>>;

/** As HCL. */
function hcl(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
    .join('\n');
}

describe.runIf(hasSpire && swtpmIsInstalled())(
  `proof by DevIDs, with SPIRE at either end ${NEEDS_SPIRE} (and swtpm)`,
  { timeout: LIMIT_MS },
  () => {
    let directory: TemporaryDirectory;
    let swtpm: Swtpm;
    let server: Settings;

    beforeAll(async () => {
      directory = createTemporaryDirectory({ isPublic: true });
      swtpm = await launchSwtpm();
      const authority = await createTestParty({ name: 'DevID CA', isCa: true });
      for (const type of ['rsa', 'ecc'] as const) {
        const devId = await provisionDevId(swtpm.path, { type, issuer: authority, password: 'open sesame' });
        await writeFile(directory.join(`${type}.crt`), encodePem('CERTIFICATE', devId.certificate));
        await writeFile(directory.join(`${type}.priv`), devId.privateBlob);
        await writeFile(directory.join(`${type}.pub`), devId.publicBlob);
      }
      server = {
        devid_ca_path: directory.join('devid-ca.pem'),
        endorsement_ca_path: directory.join('ek-ca.pem'),
      };
      await writeFile(directory.join('devid-ca.pem'), encodePem('CERTIFICATE', authority.certificate));
      const roots = swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der));
      await writeFile(directory.join('ek-ca.pem'), roots.join(''));
    }, LIMIT_MS);
    afterAll(async () => {
      await swtpm.stop();
      directory.remove();
    }, LIMIT_MS);

    function agentSettings(type: string, devicePath: string): Settings {
      return {
        devid_cert_path: directory.join(`${type}.crt`),
        devid_priv_path: directory.join(`${type}.priv`),
        devid_pub_path: directory.join(`${type}.pub`),
        devid_password: 'open sesame',
        tpm_device_path: devicePath,
      };
    }

    it.each(['rsa', 'ecc'])('a stock agent proves itself to our server: %s', async (type) => {
      using place = createTemporaryDirectory({ isPublic: true });
      const config = { plugins: { NodeAttestor: { tpm_devid: server } } };
      await using running = await launchServer({ directory: place.path, config, readyLimitMs: 120_000 });
      const bundlePath = place.join('bundle.pem');
      await writeFile(bundlePath, await running.commandOutput('bundle', 'show'));
      await using agent = await launchSpireAgent({
        directory: place.path,
        serverPort: running.port,
        bundlePath,
        // To Go's library, a socket is a TPM that is emulated.
        nodeAttestor: { type: 'tpm_devid', settings: hcl(agentSettings(type, swtpm.socketPath)) },
      });
      expect(agent.process.output).toContain('Node attestation was successful');
      expect(await running.commandOutput('agent', 'list')).toContain(AGENT_PREFIX);
    });

    it.each(['rsa', 'ecc'])('our agent proves itself to a stock server: %s', async (type) => {
      using place = createTemporaryDirectory({ isPublic: true });
      const { program, port } = await launchSpireServer(place.path, '', {
        type: 'tpm_devid',
        settings: hcl(server),
      });
      await using stock = program;
      const bundlePath = place.join('bundle.pem');
      await writeFile(bundlePath, await stock.command('bundle', 'show'));
      const [configuration, socketPath] = [place.join('agent.json'), place.join('agent.sock')];
      const config = {
        agent: {
          trust_domain: 'example.org',
          server_addresses: [`127.0.0.1:${port}`],
          ...{ socket_path: socketPath, data_dir: place.join('agent'), trust_bundle_path: bundlePath },
        },
        plugins: { NodeAttestor: { tpm_devid: agentSettings(type, swtpm.path) } },
      };
      await writeFile(configuration, JSON.stringify(config));
      await using agent = await LaunchedProcess.launch({
        name: 'agent',
        command: process.execPath,
        args: [programPath('agent'), 'run', '--config', configuration],
        readyLimitMs: 120_000,
        isReady: () => isServing(socketPath),
      });
      await waitFor(
        'the agent at the server',
        async () => (await stock.command('agent', 'list')).includes(AGENT_PREFIX),
        { limitMs: 150_000, intervalMs: 250, explain: () => agent.output },
      );
    });
  },
);
