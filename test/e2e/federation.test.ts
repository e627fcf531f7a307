import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { splitCertificates } from '@bonafide/shared/crypto/certificate-sequence';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { describe, expect, it } from 'vitest';

const { definition } = loadService('SpiffeWorkloadAPI');
const FEDERATED = { uid: 64_121, gid: 64_121 };
const ALONE = { uid: 64_122, gid: 64_122 };

/** The next authority is published 36 s after the one before, and signs 24 s later; foreign bundles are asked for every 5 s. */
const CA_TTL = '72s';
const REFRESH_HINT = '5s';

interface Identity {
  readonly chain: readonly Buffer[];
  readonly issuer: string;
  /** By trust domain; DER. */
  readonly foreignAuthorities: ReadonlyMap<string, readonly Buffer[]>;
}

function identityIn(message: Buffer): Identity {
  const { svids, federatedBundles } = definition.FetchX509SVID.responseDeserialize(message);
  const chain = splitCertificates(svids[0]?.x509Svid ?? Buffer.alloc(0), 'chain');
  const foreign = Object.entries(federatedBundles).map(
    ([id, certificates]) => [id.replace('spiffe://', ''), splitCertificates(certificates, id)] as const,
  );
  const { leaf } = verifyX509Svid({
    chain,
    authorities: splitCertificates(svids[0]?.bundle ?? Buffer.alloc(0), 'bundle'),
    now: new Date(),
  });
  return { chain, issuer: leaf.authorityKeyId ?? '', foreignAuthorities: new Map(foreign) };
}

/** A trust domain on this machine, with an agent and workloads. */
class Side implements AsyncDisposable {
  readonly #name: string;
  readonly #folder: string;
  readonly #workloads: WorkloadProcess[] = [];
  readonly server: LaunchedServer;
  #agent: LaunchedAgent | undefined;

  private constructor(name: string, folder: string, server: LaunchedServer) {
    this.#name = name;
    this.#folder = folder;
    this.server = server;
  }

  static async start(name: string, parent: string, federation: ConfigFile): Promise<Side> {
    const folder = join(parent, name);
    await mkdir(folder, { mode: 0o755 }); // workloads of other users pass through it
    const server = await launchServer({
      directory: folder,
      trustDomain: name,
      config: { server: { ca_ttl: CA_TTL, federation } },
    });
    return new Side(name, folder, server);
  }

  async startAgent(): Promise<void> {
    this.#agent = await launchAgent({
      server: this.server,
      directory: this.#folder,
      spiffeId: `spiffe://${this.#name}/node`,
    });
  }

  async register(uid: number, path: string, ...more: readonly string[]): Promise<void> {
    await this.server.commandOutput(
      ...['entry', 'create', '--parent-id', `spiffe://${this.#name}/node`],
      ...['--spiffe-id', `spiffe://${this.#name}${path}`, '--selector', `unix:uid:${uid}`, ...more],
    );
  }

  /** An open stream of the Workload API; the last message of it is what the workload believes. */
  async watch(account: { uid: number; gid: number }): Promise<() => Identity> {
    const agent = this.#agent;
    if (agent === undefined) throw new Error('there is no agent yet');
    const workload = await WorkloadProcess.start(account);
    this.#workloads.push(workload);
    await workload.connect(agent.socketPath);
    const call = await waitFor('an identity', async () => {
      const call = workload.call('SpiffeWorkloadAPI/FetchX509SVID');
      const message = await workload.message(call).catch(() => undefined);
      return message === undefined ? undefined : call;
    });
    return () => identityIn(workload.messages(call).at(-1) ?? Buffer.alloc(0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const workload of this.#workloads) workload[Symbol.dispose]();
    await this.#agent?.stop();
    await this.server.stop();
  }
}

/** @throws BonafideError when the verifier would not believe the peer now. */
function verify(peer: Identity, peerDomain: string, verifier: Identity): void {
  verifyX509Svid({
    chain: peer.chain,
    authorities: verifier.foreignAuthorities.get(peerDomain) ?? [],
    now: new Date(),
    trustDomain: parseTrustDomain(peerDomain),
  });
}

describe.runIf(canRunAsOthers())('two trust domains of real processes (needs root)', () => {
  it('verify each other while keys rotate on both sides and one of the servers dies and comes back', async () => {
    using directory = createTemporaryDirectory({ isPublic: true });
    const [portOne, portTwo] = [await findFreePort(), await findFreePort()];
    const endpoint = (port: number): ConfigFile => ({
      bundle_endpoint: {
        address: '127.0.0.1',
        port,
        refresh_hint: REFRESH_HINT,
        profile: { https_spiffe: {} },
      },
    });
    await using one = await Side.start('one.test', directory.path, endpoint(portOne));
    // One side has its relationship in the configuration file, the other is told through the API.
    const configured = {
      ...endpoint(portTwo),
      federates_with: {
        'one.test': {
          bundle_endpoint_url: `https://127.0.0.1:${portOne}/`,
          bundle_endpoint_profile: {
            https_spiffe: { endpoint_spiffe_id: 'spiffe://one.test/spire/server' },
          },
        },
      },
    };
    await using two = await Side.start('two.test', directory.path, configured);
    const bundleOfOne = join(directory.path, 'one.json');
    const bundleOfTwo = join(directory.path, 'two.pem');
    await writeFile(bundleOfOne, await one.server.commandOutput('bundle', 'show', '-format', 'spiffe'));
    await writeFile(bundleOfTwo, await two.server.commandOutput('bundle', 'show'));
    await two.server.commandOutput(
      ...['bundle', 'set', '-id', 'spiffe://one.test', '-format', 'spiffe', '-path', bundleOfOne],
    );
    await one.server.commandOutput(
      ...['federation', 'create', '-trustDomain', 'two.test', '-trustDomainBundlePath', bundleOfTwo],
      ...['-bundleEndpointURL', `https://127.0.0.1:${portTwo}`, '-bundleEndpointProfile', 'https_spiffe'],
      ...['-endpointSpiffeID', 'spiffe://two.test/spire/server'],
    );
    expect(await one.server.commandOutput('federation', 'refresh', '-id', 'two.test')).toBe(
      'Bundle refreshed\n',
    );
    expect(await two.server.commandOutput('federation', 'refresh', '-id', 'spiffe://one.test')).toBe(
      'Bundle refreshed\n',
    );

    await Promise.all([one.startAgent(), two.startAgent()]);
    await one.register(FEDERATED.uid, '/web', '--federates-with', 'two.test');
    await one.register(ALONE.uid, '/alone');
    await two.register(FEDERATED.uid, '/database', '--federates-with', 'one.test');
    const web = await one.watch(FEDERATED);
    const alone = await one.watch(ALONE);
    const database = await two.watch(FEDERATED);
    const first = { web: web().issuer, database: database().issuer };

    const failures: string[] = [];
    let checks = 0;
    const check = (): void => {
      const [a, b] = [web(), database()];
      checks += 1;
      try {
        verify(b, 'two.test', a);
        verify(a, 'one.test', b);
      } catch (error) {
        failures.push(`${new Date().toISOString()} ${String(error)}`);
      }
    };
    await waitFor('both to hold the other bundle', () => {
      const isHeld =
        web().foreignAuthorities.has('two.test') && database().foreignAuthorities.has('one.test');
      return isHeld;
    });

    await two.server.kill9();
    await waitFor('the endpoint to be missed', () =>
      one.server.process.output.includes('cannot refresh the bundle of two.test'),
    );
    check();
    await two.server.restart();

    await waitFor(
      'a rotation on both sides',
      () => {
        check();
        return web().issuer !== first.web && database().issuer !== first.database;
      },
      { limitMs: 150_000, intervalMs: 200, explain: () => failures.slice(0, 3).join('\n') },
    );
    // And once more with what is current on both sides.
    check();
    expect(failures).toEqual([]);
    expect(checks).toBeGreaterThan(50);

    // To exactly those who are entitled.
    expect([...web().foreignAuthorities.keys()]).toEqual(['two.test']);
    expect([...alone().foreignAuthorities.keys()]).toEqual([]);
    expect(one.server.process.output).toContain('the bundle endpoint is well again');
  });

  it('federate by web PKI, whose certificate is renewed under way', async () => {
    using directory = createTemporaryDirectory({ isPublic: true });
    const web = await TestAuthority.create('web.test');
    const [certPath, keyPath, rootPath] = ['tls.crt', 'tls.key', 'root.pem'].map((name) =>
      directory.join(name),
    ) as [string, string, string];
    const renew = async (): Promise<void> => {
      const { certificateChain, privateKey } = await web.issueX509Svid('/web', {
        certificate: { uriNames: [], dnsNames: ['localhost'] },
      });
      await writeFile(certPath, certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''));
      await writeFile(keyPath, encodePem('PRIVATE KEY', exportPkcs8(privateKey)));
    };
    await renew();
    await writeFile(rootPath, encodePem('CERTIFICATE', web.certificate));
    const port = await findFreePort();
    await using one = await launchServer({
      directory: directory.join('one'),
      trustDomain: 'one.test',
      config: {
        server: {
          federation: {
            bundle_endpoint: {
              address: '127.0.0.1',
              port,
              profile: {
                https_web: {
                  serving_cert_file: {
                    cert_file_path: certPath,
                    key_file_path: keyPath,
                    file_sync_interval: '1s',
                  },
                },
              },
            },
          },
        },
      },
    });
    await using two = await launchServer({
      directory: directory.join('two'),
      trustDomain: 'two.test',
      env: { NODE_EXTRA_CA_CERTS: rootPath },
    });
    await two.commandOutput(
      ...['federation', 'create', '--trust-domain', 'one.test'],
      ...['--bundle-endpoint-url', `https://localhost:${port}/`, '--bundle-endpoint-profile', 'https_web'],
    );
    await two.commandOutput('federation', 'refresh', '--id', 'one.test');
    const ours = await one.commandOutput('bundle', 'show');
    expect(await two.commandOutput('bundle', 'list', '--id', 'one.test')).toBe(ours);

    await renew();
    await waitFor('the new certificate', () =>
      one.process.output.includes('took the new serving certificate'),
    );
    await two.commandOutput('federation', 'refresh', '--id', 'one.test');

    // Without the root, the same endpoint is nobody.
    const { code, stderr } = await one.command(
      ...['federation', 'create', '--trust-domain', 'two.test'],
      ...['--bundle-endpoint-url', `https://localhost:${port}/`, '--bundle-endpoint-profile', 'https_web'],
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const refused = await one.command('federation', 'refresh', '--id', 'two.test');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('did not authenticate itself by web PKI');
    expect((await one.command('bundle', 'list', '--id', 'two.test')).code).toBe(1);
  });
});
