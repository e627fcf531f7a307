/** A whole server inside the test's own process, on a temporary folder, and clients of every kind that it may have. */
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import type { ReloadResult } from '@bonafide/shared/config/live-config';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import {
  createMutualTlsCredentials,
  mutualTlsChannelOptions,
  type ClientIdentity,
} from '@bonafide/shared/rpc/mutual-tls-channel';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { serverConfigSchema } from '@bonafide/server/configuration/server-config';
import { createServer, type RunningServer } from '@bonafide/server/wiring/create-server';
import type { ServerHost } from '@bonafide/server/wiring/startup';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { typescriptThread } from '@bonafide/testing/typescript-thread';
import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { ChangingConfig } from './changing-config.js';

interface InProcessOptions {
  readonly config?: ConfigFile;
  readonly clock?: Clock;
  readonly nodeAttestors?: ServerHost['moreNodeAttestors'];
  /** Where an earlier server left its data. */
  readonly directory?: TemporaryDirectory;
}

/** Tests run from the sources, and so do the threads of the server. */
const THREAD_PROGRAM = typescriptThread(
  new URL('../../packages/server/src/issuance/threads/signing-thread-main.ts', import.meta.url),
);

const SERVER_ID = parseSpiffeId('spiffe://example.org/spire/server');

/** Unless a test says otherwise: no rate limits, for all of its callers have one address, and nobody is asked to leave. */
const DEFAULTS: ConfigFile = {
  server: { ratelimit: { attestation: false, signing: false }, drain_spread: '0s' },
};

export class InProcessServer implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly socketPath: string;
  /** As SIGHUP does. */
  readonly reload: (change: ConfigFile) => Promise<ReloadResult>;
  readonly #server: RunningServer;
  readonly #clients: { close(): void }[] = [];
  readonly #ownsDirectory: boolean;

  private constructor(
    server: RunningServer,
    config: ChangingConfig<typeof serverConfigSchema>,
    directory: TemporaryDirectory,
    ownsDirectory: boolean,
  ) {
    this.#server = server;
    this.reload = config.reload.bind(config);
    this.directory = directory;
    this.socketPath = directory.join('api.sock');
    this.#ownsDirectory = ownsDirectory;
  }

  /** What it logs is in `server.log` of its directory. */
  static async start(options: InProcessOptions = {}): Promise<InProcessServer> {
    const directory = options.directory ?? createTemporaryDirectory();
    const own: ConfigFile = {
      server: {
        trust_domain: 'example.org',
        bind_address: '127.0.0.1',
        bind_port: 0,
        socket_path: directory.join('api.sock'),
        data_dir: directory.join('data'),
      },
    };
    const merged = mergeConfig(mergeConfig(DEFAULTS, own), options.config ?? {});
    const log = createLogger({ level: 'debug', format: 'json', file: directory.join('server.log') });
    const config = new ChangingConfig(merged, serverConfigSchema, log);
    const host = {
      live: config.live,
      clock: options.clock ?? systemClock,
      log,
      signingThreadProgram: THREAD_PROGRAM,
      ...(options.nodeAttestors === undefined ? {} : { moreNodeAttestors: options.nodeAttestors }),
    };
    const server = await createServer(config.atStart, host);
    config.live.ready();
    return new InProcessServer(server, config, directory, options.directory === undefined);
  }

  get port(): number {
    return this.#server.port;
  }

  /** 0 when it serves none. */
  get bundleEndpointPort(): number {
    return this.#server.bundleEndpointPort ?? 0;
  }

  /** Over the admin socket. */
  local<Name extends ServiceName>(service: Name): ServiceClient<Name> {
    return this.#client(service, `unix:${this.socketPath}`, credentials.createInsecure());
  }

  /** Over TLS; without a certificate when `identity` is undefined. */
  async remote<Name extends ServiceName>(
    service: Name,
    identity?: ClientIdentity,
  ): Promise<ServiceClient<Name>> {
    const { x509Authorities } = await callUnary(
      this.local('spire.api.server.bundle.v1.Bundle'),
      'GetBundle',
      {},
    );
    return this.#client(
      service,
      `127.0.0.1:${this.port}`,
      createMutualTlsCredentials({
        serverId: SERVER_ID,
        authorities: x509Authorities.map(({ asn1 }) => asn1),
        identity,
      }),
    );
  }

  async createToken(ttl = 600, token = ''): Promise<string> {
    const client = this.local('spire.api.server.agent.v1.Agent');
    return (await callUnary(client, 'CreateJoinToken', { ttl, token })).value;
  }

  /** Attests by join token, or by what another type takes in its place. @throws BonafideError as the server refused. */
  async attest(
    token: string,
    csrOptions?: Parameters<typeof createCertificateSigningRequest>[1],
    type = 'join_token',
  ): Promise<Attested> {
    const privateKey = await generatePrivateKey('ec-p256');
    const csr = await createCertificateSigningRequest(privateKey, csrOptions);
    const client = await this.remote('spire.api.server.agent.v1.Agent');
    const stream = openBidiStream(client, 'AttestAgent', { deadlineMs: 20_000 });
    await stream.send({
      params: { data: { type, payload: Buffer.from(token) }, params: { csr } },
    });
    const { value } = await stream.messages.next();
    stream.cancel();
    return attested(value?.result?.svid?.certChain ?? [], privateKey);
  }

  async attestNew(): Promise<Attested> {
    return this.attest(await this.createToken());
  }

  /** A renewed SVID, which the server has not seen in use yet. */
  async renew(agent: Attested): Promise<Attested> {
    const privateKey = await generatePrivateKey('ec-p256');
    const csr = await createCertificateSigningRequest(privateKey);
    const client = await this.remote('spire.api.server.agent.v1.Agent', agent);
    const { svid } = await callUnary(client, 'RenewAgent', { params: { csr } });
    return attested(svid?.certChain ?? [], privateKey);
  }

  /** A workload's SVID from MintX509SVID. */
  async mint(spiffeId: string): Promise<Attested> {
    const privateKey = await generatePrivateKey('ec-p256');
    const csr = await createCertificateSigningRequest(privateKey, { uriNames: [spiffeId] });
    const { svid } = await callUnary(this.local('spire.api.server.svid.v1.SVID'), 'MintX509SVID', { csr });
    return attested(svid?.certChain ?? [], privateKey);
  }

  async createEntry(parentId: string, path: string, more: object = {}): Promise<string> {
    const client = this.local('spire.api.server.entry.v1.Entry');
    const { results } = await callUnary(client, 'BatchCreateEntry', {
      entries: [
        {
          spiffeId: { trustDomain: 'example.org', path },
          parentId: { trustDomain: 'example.org', path: new URL(parentId).pathname },
          selectors: [{ type: 'unix', value: 'uid:1000' }],
          ...more,
        },
      ],
    });
    const [result] = results;
    if (result?.status?.code !== 0 || !result.entry) throw new Error(result?.status?.message ?? 'no result');
    return result.entry.id;
  }

  /** As when the machine goes down: its clients are still there. */
  async stopServerOnly(): Promise<void> {
    await this.#server.stop();
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await this.#server.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (this.#ownsDirectory) this.directory.remove();
  }

  #client<Name extends ServiceName>(
    service: Name,
    address: string,
    channelCredentials: ChannelCredentials,
  ): ServiceClient<Name> {
    const { Client } = loadService(service);
    const client = new Client(address, channelCredentials, {
      ...mutualTlsChannelOptions(SERVER_ID),
      'grpc.max_receive_message_length': -1,
    });
    this.#clients.push(client);
    return client;
  }
}

export interface Attested extends ClientIdentity {
  readonly spiffeId: SpiffeId;
  readonly serialNumber: string;
}

function attested(certificateChain: readonly Buffer[], privateKey: ClientIdentity['privateKey']): Attested {
  const [leaf] = certificateChain;
  if (leaf === undefined) throw new Error('the server answered without a certificate');
  const { spiffeId, leaf: certificate } = parseX509SvidLeaf(leaf);
  return { certificateChain, privateKey, spiffeId, serialNumber: certificate.serialNumber };
}
