/** Every profile of the Workload API on a real Unix socket, which says of each what the test tells it to. */
import { rm } from 'node:fs/promises';
import {
  Server,
  ServerCredentials,
  status,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { formatPrivateJwk } from '@bonafide/shared/crypto/private-json-web-key';
import { spkiToJwk } from '@bonafide/shared/crypto/json-web-key';
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { parseWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import type { JWTBundlesResponse } from '@bonafide/shared/rpc/gen/JWTBundlesResponse';
import type { JWTSVIDResponse } from '@bonafide/shared/rpc/gen/JWTSVIDResponse';
import type { ValidateJWTSVIDResponse } from '@bonafide/shared/rpc/gen/ValidateJWTSVIDResponse';
import type { WITBundlesResponse } from '@bonafide/shared/rpc/gen/WITBundlesResponse';
import type { WITSVIDResponse } from '@bonafide/shared/rpc/gen/WITSVIDResponse';
import type { X509BundlesResponse } from '@bonafide/shared/rpc/gen/X509BundlesResponse';
import type { X509SVIDResponse } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';

interface Answers {
  FetchX509SVID: X509SVIDResponse;
  FetchX509Bundles: X509BundlesResponse;
  FetchJWTSVID: JWTSVIDResponse;
  FetchJWTBundles: JWTBundlesResponse;
  ValidateJWTSVID: ValidateJWTSVIDResponse;
  FetchWITSVID: WITSVIDResponse;
  FetchWITBundles: WITBundlesResponse;
}

type Method = keyof Answers;
type StreamMethod = Exclude<Method, 'FetchJWTSVID' | 'ValidateJWTSVID'>;

interface TokenRefusal {
  readonly code: status;
  readonly details: string;
}

interface Call {
  readonly method: Method;
  readonly request: unknown;
  /** The security header; undefined where it was missing. */
  readonly header: string | undefined;
}

/** @example const api = await TestTokenApi.start(path); api.answer('FetchWITSVID', witResponse(svid)); */
export class TestTokenApi {
  readonly address: string;
  readonly #socketPath: string;
  #server: Server | undefined;
  readonly #answers = new Map<Method, Answers[Method] | TokenRefusal | (() => Promise<Answers[Method]>)>();
  readonly #streams = new Map<StreamMethod, Set<ServerWritableStream<unknown, unknown>>>();
  /** Every call, in order. */
  readonly calls: Call[] = [];

  private constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.address = `unix://${socketPath}`;
  }

  static async start(socketPath: string): Promise<TestTokenApi> {
    const api = new TestTokenApi(socketPath);
    await api.start();
    return api;
  }

  async start(): Promise<void> {
    const handlers: Handlers<'SpiffeWorkloadAPI'> = {
      FetchX509SVID: (call) => {
        this.#open('FetchX509SVID', call);
      },
      FetchX509Bundles: (call) => {
        this.#open('FetchX509Bundles', call);
      },
      FetchJWTSVID: (call, callback) => {
        this.#reply('FetchJWTSVID', call, callback);
      },
      ValidateJWTSVID: (call, callback) => {
        this.#reply('ValidateJWTSVID', call, callback);
      },
      FetchJWTBundles: (call) => {
        this.#open('FetchJWTBundles', call);
      },
      FetchWITSVID: (call) => {
        this.#open('FetchWITSVID', call);
      },
      FetchWITBundles: (call) => {
        this.#open('FetchWITBundles', call);
      },
    };
    const server = new Server();
    server.addService(loadService('SpiffeWorkloadAPI').definition, handlers);
    await rm(this.#socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${this.#socketPath}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    this.#server = server;
  }

  /** The agent goes away: connections are cut and nothing listens. */
  stop(): Promise<void> {
    this.#server?.forceShutdown();
    this.#server = undefined;
    return rm(this.#socketPath, { force: true });
  }

  /** Given to open streams at once, and to later calls. */
  answer<M extends Method>(method: M, answer: Answers[M] | (() => Promise<Answers[M]>)): void {
    this.#set(method, answer);
  }

  /** Ends open streams with it, and answers later calls so. */
  refuse(method: Method, code: status, details = 'refused by the test'): void {
    this.#set(method, { code, details });
  }

  #set(method: Method, answer: Answers[Method] | TokenRefusal | (() => Promise<Answers[Method]>)): void {
    this.#answers.set(method, answer);
    for (const [name, streams] of this.#streams) {
      if (name === method) for (const stream of streams) this.#write(stream, answer);
    }
  }

  #reply<M extends 'FetchJWTSVID' | 'ValidateJWTSVID'>(
    method: M,
    call: ServerUnaryCall<unknown, unknown>,
    callback: (error: TokenRefusal | null, response?: Answers[M]) => void,
  ): void {
    this.#record(method, call);
    const answer = this.#answers.get(method) ?? { code: status.UNIMPLEMENTED, details: 'not set' };
    if (typeof answer === 'function') {
      answer().then(
        (response) => {
          callback(null, response as Answers[M]);
        },
        (error: unknown) => {
          callback({ code: status.INTERNAL, details: String(error) });
        },
      );
    } else if ('code' in answer) callback(answer);
    else callback(null, answer as Answers[M]);
  }

  #open(method: StreamMethod, call: ServerWritableStream<unknown, unknown>): void {
    this.#record(method, call);
    const streams = this.#streams.get(method) ?? new Set();
    this.#streams.set(method, streams.add(call));
    for (const end of ['close', 'cancelled', 'error']) call.on(end, () => streams.delete(call));
    const answer = this.#answers.get(method);
    if (answer !== undefined) this.#write(call, answer);
  }

  #write(
    stream: ServerWritableStream<unknown, unknown>,
    answer: Answers[Method] | TokenRefusal | (() => Promise<Answers[Method]>),
  ): void {
    if (typeof answer !== 'object') return;
    if ('code' in answer) stream.emit('error', answer);
    else stream.write(answer);
  }

  #record(
    method: Method,
    { request, metadata }: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>,
  ): void {
    this.calls.push({ method, request, header: metadata.get('workload.spiffe.io')[0]?.toString() });
  }
}

export function jwtResponse(...svids: readonly JwtSvid[]): JWTSVIDResponse {
  return {
    svids: svids.map(({ spiffeId, token, hint }) => ({ spiffeId, svid: token, hint: hint ?? '' })),
  };
}

export function witResponse(...svids: readonly WitSvid[]): WITSVIDResponse {
  return {
    svids: svids.map(({ spiffeId, token, privateKey, hint }) => ({
      spiffeId,
      witSvid: token,
      witSvidKey: formatPrivateJwk(privateKey, parseWitSvid(token).confirmationAlgorithm),
      hint: hint ?? '',
    })),
  };
}

interface KeysOfDomain {
  readonly trustDomain: string;
  readonly authority: TokenAuthority;
}

/** JWK Sets as SPIRE gives them out: without `use`. */
export function jwkSets(...domains: readonly KeysOfDomain[]): Record<string, string> {
  const sets: Record<string, object[]> = {};
  for (const { trustDomain, authority } of domains) {
    (sets[`spiffe://${trustDomain}`] ??= []).push({
      ...spkiToJwk(authority.publicKey),
      kid: authority.keyId,
    });
  }
  return Object.fromEntries(Object.entries(sets).map(([id, keys]) => [id, JSON.stringify({ keys })]));
}
