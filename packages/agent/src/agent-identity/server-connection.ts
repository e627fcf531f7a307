/** The way to the server, always under the agent's latest SVID and bundle: what was renewed takes effect with the next channel. */
import {
  Channel,
  connectivityState,
  type ChannelCredentials,
  type ChannelOptions,
  type Interceptor,
} from '@grpc/grpc-js';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { createMutualTlsCredentials, mutualTlsChannelOptions } from '@bonafide/shared/rpc/mutual-tls-channel';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { deadlineAfter } from '@bonafide/shared/runtime/deadline';
import { serverId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { formatServerAddress, type ServerAddress } from './server-address.js';
import { ServerChoice } from './server-choice.js';

export interface ServerConnectionOptions {
  /** Of servers of one trust domain, at least one. */
  readonly addresses: readonly ServerAddress[];
  readonly trustDomain: TrustDomain;
  /** A number in [0, 1). */
  readonly random?: () => number;
  /** Of every call. */
  readonly interceptors?: readonly Interceptor[];
}

const LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024;
/** How long a server that is to take over may take to answer. */
const TAKEOVER_LIMIT_MS = 10_000;

/** The way to the server under one identity. */
export interface ServerChannel {
  /** Under which the server sees us; undefined: as nobody in particular. */
  readonly identity: X509Svid | undefined;
  /** Fires once the agent has another identity: calls that live long should begin anew on the next channel. */
  readonly superseded: AbortSignal;
  client<Name extends ServiceName>(name: Name): ServiceClient<Name>;
}

/** Where callers get their channels. */
export interface ServerChannels {
  /** The one to use for the next call; not to be kept for longer than that call. */
  channel(): ServerChannel;
  /**
   * Drops one that does not work, so that the next call connects anew, to another server if there is one, and nothing reconnects
   * behind its back. @returns whether the next call goes to a server that has not failed yet.
   */
  discard(channel: ServerChannel): boolean;
  /** The server has answered on it. */
  confirm(channel: ServerChannel): void;
  /** Whether there may be another server to go to. */
  hasAlternative(): Promise<boolean>;
  /**
   * Connects to another server and makes that the channel to use, while calls on the old one come to their end.
   * @returns false when no other server answers; then the channel stays.
   */
  moveAway(channel: ServerChannel, signal: AbortSignal): Promise<boolean>;
}

export class ServerConnection implements ServerChannels {
  readonly #trustDomain: TrustDomain;
  readonly #choice: ServerChoice;
  readonly #interceptors: readonly Interceptor[];
  #authorities: readonly Buffer[] | 'unverified' = [];
  #identity: X509Svid | undefined;
  #channel: OpenChannel | undefined;
  /** Of identity and bundle. */
  #generation = 0;
  /** Lives as long as the present identity. */
  #scope = new AbortController();

  constructor({ addresses, interceptors = [], trustDomain, random = Math.random }: ServerConnectionOptions) {
    this.#trustDomain = trustDomain;
    this.#interceptors = interceptors;
    this.#choice = new ServerChoice({ addresses, random });
  }

  /** Of the server that is used now. */
  get address(): ServerAddress {
    return this.#choice.current;
  }

  /** Of the server that failed last, for messages; the present one as long as none has. */
  get failedAddress(): ServerAddress {
    return this.#choice.lastLeft;
  }

  /** `unverified` believes whoever answers; only an explicit insecure bootstrap may ask for it. */
  trust(authorities: readonly Buffer[] | 'unverified'): void {
    this.#authorities = authorities;
    this.#generation += 1;
    this.#retire();
  }

  /** @param identity undefined: without a client certificate, as for attestation. */
  identify(identity: X509Svid | undefined): void {
    const former = this.#scope;
    this.#identity = identity;
    this.#generation += 1;
    this.#scope = new AbortController();
    this.#retire();
    former.abort();
  }

  channel(): ServerChannel {
    this.#channel ??= this.#open(this.#identity, this.#choice.current);
    return this.#channel;
  }

  /**
   * A channel of its own without a client certificate; the caller closes it, or discards it when it does not work.
   * @param authorities by which the server is verified, in place of those that are trusted.
   */
  openAnonymous(authorities = this.#authorities): OpenChannel {
    return this.#open(undefined, this.#choice.current, authorities);
  }

  discard(channel: ServerChannel): boolean {
    if (!(channel instanceof OpenChannel)) return false;
    const isPresent = channel === this.#channel;
    if (isPresent) this.#retire();
    // One that was replaced meanwhile, for example because the bundle has changed, says nothing about the server.
    return isPresent || channel.identity === undefined ? this.#choice.leave(channel.address) : true;
  }

  confirm(channel: ServerChannel): void {
    if (channel instanceof OpenChannel) this.#choice.confirm(channel.address);
  }

  async hasAlternative(): Promise<boolean> {
    return (await this.#choice.alternatives()).length > 0;
  }

  async moveAway(channel: ServerChannel, signal: AbortSignal): Promise<boolean> {
    if (!(channel instanceof OpenChannel)) return false;
    for (const address of await this.#choice.alternatives()) {
      if (signal.aborted) return false;
      const generation = this.#generation;
      const next = this.#open(this.#identity, address);
      const isReady = await next.isReady(TAKEOVER_LIMIT_MS, signal);
      // Another call has failed there, and has gone elsewhere.
      const hasLeft = this.#choice.current !== channel.address;
      if (!isReady || hasLeft) {
        next.close();
        if (hasLeft) return true;
        continue;
      }
      this.#choice.take(address);
      this.#retire();
      // The server answers, but what was renewed meanwhile takes effect with the next channel.
      if (generation === this.#generation) this.#channel = next;
      else next.close();
      return true;
    }
    return false;
  }

  close(): void {
    this.#retire();
  }

  #open(
    identity: X509Svid | undefined,
    address: ServerAddress,
    authorities = this.#authorities,
  ): OpenChannel {
    const trustDomain = this.#trustDomain;
    const credentials = createMutualTlsCredentials({
      serverId: serverId(trustDomain),
      authorities,
      identity,
    });
    return new OpenChannel({
      address,
      trustDomain,
      credentials,
      identity,
      superseded: this.#scope.signal,
      interceptors: this.#interceptors,
    });
  }

  #retire(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }
}

interface OpenChannelOptions {
  readonly address: ServerAddress;
  readonly trustDomain: TrustDomain;
  readonly credentials: ChannelCredentials;
  readonly identity: X509Svid | undefined;
  readonly superseded: AbortSignal;
  readonly interceptors: readonly Interceptor[];
}

class OpenChannel implements ServerChannel {
  readonly address: ServerAddress;
  readonly identity: X509Svid | undefined;
  readonly superseded: AbortSignal;
  readonly #target: string;
  readonly #credentials: ChannelCredentials;
  readonly #channel: Channel;
  readonly #interceptors: readonly Interceptor[];

  constructor(options: OpenChannelOptions) {
    const { address, trustDomain, credentials, identity, interceptors, superseded } = options;
    this.#interceptors = interceptors;
    this.address = address;
    this.identity = identity;
    this.superseded = superseded;
    this.#target = `dns:${formatServerAddress(address)}`;
    this.#credentials = credentials;
    this.#channel = new Channel(this.#target, credentials, channelOptions(address, trustDomain));
  }

  client<Name extends ServiceName>(name: Name): ServiceClient<Name> {
    const { Client } = loadService(name);
    return new Client(this.#target, this.#credentials, {
      channelOverride: this.#channel,
      interceptors: [...this.#interceptors],
    });
  }

  /** Connects. @returns false when that fails, or takes longer, or the signal fires. */
  async isReady(limitMs: number, signal: AbortSignal): Promise<boolean> {
    const deadline = deadlineAfter(limitMs);
    for (let state = this.#channel.getConnectivityState(true); ;) {
      if (state === connectivityState.READY) return true;
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) return false;
      const before = state;
      const hasChanged = await new Promise<boolean>((resolve) => {
        const stop = (): void => {
          resolve(false);
        };
        signal.addEventListener('abort', stop, { once: true });
        this.#channel.watchConnectivityState(before, deadline, (error) => {
          signal.removeEventListener('abort', stop);
          resolve(error === undefined);
        });
      });
      if (!hasChanged || signal.aborted) return false;
      state = this.#channel.getConnectivityState(true);
    }
  }

  /** Calls under way may come to their end. */
  close(): void {
    this.#channel.close();
  }
}

/** Many agents that know one name spread over the machines that go by it. */
const SERVICE_CONFIG = JSON.stringify({
  loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }],
});

function channelOptions({ host }: ServerAddress, trustDomain: TrustDomain): ChannelOptions {
  return {
    ...mutualTlsChannelOptions(serverId(trustDomain)),
    // Notices in little more than a minute that the server is gone while a stream is open. The pings of its agents are most of what an idle server does.
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_receive_message_length': LARGEST_MESSAGE_BYTES,
    'grpc.initial_reconnect_backoff_ms': 500,
    'grpc.max_reconnect_backoff_ms': 10_000,
    'grpc.service_config': SERVICE_CONFIG,
    'grpc.service_config_disable_resolution': 1,
    ...(isLoopback(host) ? { 'grpc.enable_http_proxy': 0 } : {}),
  };
}

/** Proxies are for the way out of this machine. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
