/** A Workload API socket with SDS on it, and clients that speak as Envoy does, for the tests of this room. */
import { X509Certificate } from 'node:crypto';
import { credentials } from '@grpc/grpc-js';
import { openBidiStream } from '@bonafide/shared/rpc/client-call';
import type { DeltaDiscoveryRequest } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DeltaDiscoveryRequest';
import type { DiscoveryRequest } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DiscoveryRequest';
import type { Any__Output } from '@bonafide/shared/rpc/gen/google/protobuf/Any';
import type { Secret__Output } from '@bonafide/shared/rpc/gen/envoy/extensions/transport_sockets/tls/v3/Secret';
import { loadMessage } from '@bonafide/shared/rpc/load-message';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger, type Logger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { MemoryIdentities } from '@bonafide/testing/memory-identities';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import type { TestAuthority } from '@bonafide/testing/test-authority';
import { endpointLimits } from '../endpoints/endpoint-limits.js';
import { createWorkloadEndpoint, type WorkloadEndpoint } from '../endpoints/workload-endpoint.js';
import { WITHOUT_TOKENS } from '../token-svids/token-samples.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { attestorHost } from '../workload-attestation/attestor-host-samples.js';
import { createWorkloadAttestors, workloadAttestorsConfigSchema } from '../workload-attestation/attestors.js';
import { sdsConfigSchema } from './sds-config.js';
import { SECRET_TYPE_URL } from './secret.js';

export const SDS = 'envoy.service.secret.v3.SecretDiscoveryService';
export const SELF = [`unix:uid:${process.geteuid?.() ?? -1}`];
export const OLD_ENVOY = {
  userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 17, patch: 9 } },
};

interface Whole {
  readonly version: string;
  readonly nonce: string;
  readonly secrets: readonly Secret__Output[];
}

interface WholeStream {
  ask(request: DiscoveryRequest): Promise<void>;
  next(): Promise<Whole>;
  readonly messages: AsyncGenerator<unknown, undefined>;
  end(): void;
  cancel(): void;
}

interface DeltaStream {
  ask(request: DeltaDiscoveryRequest): Promise<void>;
  next(): Promise<Delta>;
  cancel(): void;
}

interface Delta {
  readonly nonce: string;
  readonly names: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
}

export class SdsSetup {
  readonly identities: MemoryIdentities;
  readonly warnings: string[] = [];
  readonly client: ServiceClient<typeof SDS>;
  readonly endpoint: WorkloadEndpoint;
  readonly socketPath: string;
  attestations = 0;
  readonly #authority: TestAuthority;
  readonly #closers: (() => Promise<void> | void)[] = [];

  private constructor(authority: TestAuthority) {
    this.#authority = authority;
    const directory = createTemporaryDirectory();
    this.#closers.push(() => {
      directory.remove();
    });
    this.socketPath = directory.join('agent.sock');
    this.identities = new MemoryIdentities(authority.trustDomain);
    const log: Logger = Object.assign(Object.create(silentLogger) as Logger, {
      warn: (_fields: object, message: string) => void this.warnings.push(message),
      child: () => log,
    });
    const config = workloadAttestorsConfigSchema.parse({ unix: {} });
    const attest = createWorkloadAttestation({
      attestors: createWorkloadAttestors(config, attestorHost({ log })),
      clock: systemClock,
      log,
    });
    this.endpoint = createWorkloadEndpoint({
      socketPath: this.socketPath,
      identities: this.identities,
      ...WITHOUT_TOKENS,
      attest: (process, context) => {
        this.attestations += 1;
        return attest(process, context);
      },
      clock: systemClock,
      log,
      limits: endpointLimits({ maxStreamsPerUid: 50 }),
      sds: sdsConfigSchema.parse({}),
    });
    this.#closers.push(() => this.endpoint.close(0));
    const { Client } = loadService(SDS);
    this.client = new Client(`unix://${this.socketPath}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    this.atEnd(() => {
      this.client.close();
    });
  }

  static async listen(authority: TestAuthority): Promise<SdsSetup> {
    const setup = new SdsSetup(authority);
    await setup.endpoint.listen();
    return setup;
  }

  atEnd(close: () => void): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  /** To every process of this user; the first is the default. */
  grant(svids: readonly X509Svid[], ...others: readonly TestAuthority[]): void {
    this.identities.set({
      entries: svids.map((svid) => ({ selectors: SELF, svid })),
      bundles: [this.#authority, ...others].map((each) => each.bundle()),
    });
  }

  openWhole(): WholeStream {
    const stream = openBidiStream(this.client, 'StreamSecrets');
    const cancel = (): void => {
      stream.cancel();
    };
    this.atEnd(cancel);
    return {
      cancel,
      end: () => {
        stream.end();
      },
      messages: stream.messages,
      ask: (request) => stream.send({ typeUrl: SECRET_TYPE_URL, ...request }),
      next: async () => {
        const { value } = await stream.messages.next();
        if (value === undefined) throw new Error('the stream has ended');
        return { version: value.versionInfo, nonce: value.nonce, secrets: value.resources.map(decodeSecret) };
      },
    };
  }

  openDelta(): DeltaStream {
    const stream = openBidiStream(this.client, 'DeltaSecrets');
    const cancel = (): void => {
      stream.cancel();
    };
    this.atEnd(cancel);
    return {
      cancel,
      ask: (request) => stream.send({ typeUrl: SECRET_TYPE_URL, ...request }),
      next: async () => {
        const { value } = await stream.messages.next();
        if (value === undefined) throw new Error('the stream has ended');
        return {
          nonce: value.nonce,
          names: value.resources.map(({ resource }) => decodeSecret(resource).name),
          versions: Object.fromEntries(value.resources.map(({ name, version }) => [name, version])),
          removed: value.removedResources,
        };
      },
    };
  }
}

export function decodeSecret(resource: Any__Output | null): Secret__Output {
  if (resource?.type_url !== SECRET_TYPE_URL) throw new Error('this is no secret');
  return loadMessage('envoy.extensions.transport_sockets.tls.v3.Secret').deserialize(resource.value);
}

export function secretNames({ secrets }: Pick<Whole, 'secrets'>): readonly string[] {
  return secrets.map(({ name }) => name);
}

export function serialIn(secret: Secret__Output | undefined): string {
  return new X509Certificate(secret?.tlsCertificate?.certificateChain?.inlineBytes ?? '').serialNumber;
}

export function serialOf({ certificateChain: [leaf] }: X509Svid): string {
  return new X509Certificate(leaf ?? '').serialNumber;
}
