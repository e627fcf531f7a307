/** A Workload API on a real Unix socket that says what the test tells it to, to every process that asks. */
import { rm } from 'node:fs/promises';
import { Server, ServerCredentials, status, type ServerWritableStream } from '@grpc/grpc-js';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import type { X509BundlesRequest__Output } from '@bonafide/shared/rpc/gen/X509BundlesRequest';
import type { X509BundlesResponse } from '@bonafide/shared/rpc/gen/X509BundlesResponse';
import type { X509SVIDRequest__Output } from '@bonafide/shared/rpc/gen/X509SVIDRequest';
import type { X509SVIDResponse } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

type SvidStream = ServerWritableStream<X509SVIDRequest__Output, X509SVIDResponse>;
type BundleStream = ServerWritableStream<X509BundlesRequest__Output, X509BundlesResponse>;

export interface WorkloadApiContent {
  readonly svids: readonly X509Svid[];
  /** Of the SVIDs' own trust domains and of federated ones. */
  readonly bundles: readonly TrustBundle[];
}

/** What a caller is refused with. */
export interface Refusal {
  readonly code: status;
  readonly details: string;
}

/**
 * @example
 * await using api = await TestWorkloadApi.start(directory.join('api.sock'));
 * api.serve({ svids: [await authority.issueX509Svid('/web')], bundles: [authority.bundle()] });
 */
export class TestWorkloadApi implements AsyncDisposable {
  readonly socketPath: string;
  #server: Server | undefined;
  #answer: X509SVIDResponse | Refusal | undefined = {
    code: status.UNAVAILABLE,
    details: 'nothing to serve yet',
  };
  readonly #svidStreams = new Set<SvidStream>();
  readonly #bundleStreams = new Set<BundleStream>();
  /** The header of each call, in order; undefined where it was missing. */
  readonly headers: (string | undefined)[] = [];

  private constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  static async start(socketPath: string): Promise<TestWorkloadApi> {
    const api = new TestWorkloadApi(socketPath);
    await api.start();
    return api;
  }

  get address(): string {
    return `unix://${this.socketPath}`;
  }

  /** Streams that are open now, of both kinds. */
  get openStreams(): number {
    return this.#svidStreams.size + this.#bundleStreams.size;
  }

  async start(): Promise<void> {
    const server = new Server();
    const { definition } = loadService('SpiffeWorkloadAPI');
    const unimplemented = (): never => {
      throw new Error('not part of this test');
    };
    const handlers: Handlers<'SpiffeWorkloadAPI'> = {
      FetchX509SVID: (call) => {
        this.#open(call, this.#svidStreams);
      },
      FetchX509Bundles: (call) => {
        this.#open(call, this.#bundleStreams);
      },
      FetchJWTSVID: unimplemented,
      FetchJWTBundles: unimplemented,
      ValidateJWTSVID: unimplemented,
      FetchWITSVID: unimplemented,
      FetchWITBundles: unimplemented,
    };
    server.addService(definition, handlers);
    await rm(this.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${this.socketPath}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    this.#server = server;
  }

  /** Given to open streams at once, and to later ones when they open. */
  serve(content: WorkloadApiContent): void {
    this.serveRaw(toResponse(content));
  }

  /** As `serve`, for messages that are wrong on purpose. */
  serveRaw(response: X509SVIDResponse): void {
    this.#answer = response;
    this.#answerAll();
  }

  /** Ends open streams with it, and answers later ones so. */
  refuse(code: status, details = 'refused by the test'): void {
    this.#answer = { code, details };
    this.#answerAll();
  }

  /** Opens streams and says nothing on them. */
  beSilent(): void {
    this.#answer = undefined;
  }

  /** The agent goes away: connections are cut and nothing listens. */
  stop(): Promise<void> {
    this.#server?.forceShutdown();
    this.#server = undefined;
    return rm(this.socketPath, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #open<Stream extends SvidStream | BundleStream>(call: Stream, streams: Set<Stream>): void {
    const [header] = call.metadata.get('workload.spiffe.io');
    this.headers.push(header?.toString());
    streams.add(call);
    for (const end of ['close', 'cancelled', 'error']) call.on(end, () => streams.delete(call));
    this.#answerAll(call);
  }

  #answerAll(only?: SvidStream | BundleStream): void {
    const answer = this.#answer;
    if (answer === undefined) return;
    for (const stream of [...this.#svidStreams, ...this.#bundleStreams]) {
      if (only !== undefined && stream !== only) continue;
      if ('code' in answer) stream.emit('error', answer);
    }
    if ('code' in answer) return;
    for (const stream of this.#svidStreams) if (only === undefined || stream === only) stream.write(answer);
    for (const stream of this.#bundleStreams) {
      if (only === undefined || stream === only) stream.write({ bundles: allBundles(answer) });
    }
  }
}

/** The wire form of what the Workload API grants. */
export function toResponse({ svids, bundles }: WorkloadApiContent): X509SVIDResponse {
  const own = new Set<string>(svids.map((svid) => trustDomainName(svid.spiffeId)));
  const bytes = new Map(
    bundles.map((bundle) => [
      bundle.trustDomain as string,
      Buffer.concat(bundle.x509Authorities.map((authority) => authority.certificate)),
    ]),
  );
  return {
    svids: svids.map((svid) => ({
      spiffeId: svid.spiffeId,
      x509Svid: Buffer.concat(svid.certificateChain),
      x509SvidKey: exportPkcs8(svid.privateKey),
      bundle: bytes.get(trustDomainName(svid.spiffeId)) ?? Buffer.alloc(0),
      hint: svid.hint ?? '',
    })),
    crl: [],
    federatedBundles: Object.fromEntries(
      [...bytes].filter(([name]) => !own.has(name)).map(([name, der]) => [`spiffe://${name}`, der]),
    ),
  };
}

function allBundles(response: X509SVIDResponse): Record<string, Buffer | Uint8Array | string> {
  const own = (response.svids ?? []).map((svid) => [
    `spiffe://${trustDomainName(svid.spiffeId ?? '')}`,
    svid.bundle ?? '',
  ]);
  return { ...response.federatedBundles, ...(Object.fromEntries(own) as Record<string, Buffer>) };
}

function trustDomainName(spiffeId: string): string {
  return new URL(spiffeId).hostname;
}
