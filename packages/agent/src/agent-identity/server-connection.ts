/** The way to the server, always under the agent's latest SVID and bundle: what was renewed takes effect with the next channel. */
import { Channel, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { createMutualTlsCredentials, mutualTlsChannelOptions } from '@bonafide/shared/rpc/mutual-tls-channel';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { serverId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { formatServerAddress, type ServerAddress } from './server-address.js';

export interface ServerConnectionOptions {
  readonly address: ServerAddress;
  readonly trustDomain: TrustDomain;
}

const LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024;

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
  /** Drops one that does not work, so that the next call connects anew and nothing reconnects behind its back. */
  discard(channel: ServerChannel): void;
}

export class ServerConnection implements ServerChannels {
  readonly #options: ServerConnectionOptions;
  #authorities: readonly Buffer[] | 'unverified' = [];
  #identity: X509Svid | undefined;
  #channel: OpenChannel | undefined;
  /** Lives as long as the present identity. */
  #scope = new AbortController();

  constructor(options: ServerConnectionOptions) {
    this.#options = options;
  }

  /** `unverified` believes whoever answers; only an explicit insecure bootstrap may ask for it. */
  trust(authorities: readonly Buffer[] | 'unverified'): void {
    this.#authorities = authorities;
    this.#retire();
  }

  /** @param identity undefined: without a client certificate, as for attestation. */
  identify(identity: X509Svid | undefined): void {
    const former = this.#scope;
    this.#identity = identity;
    this.#scope = new AbortController();
    this.#retire();
    former.abort();
  }

  channel(): ServerChannel {
    this.#channel ??= this.#open(this.#identity);
    return this.#channel;
  }

  /** A channel of its own without a client certificate; the caller closes it. */
  openAnonymous(): OpenChannel {
    return this.#open(undefined);
  }

  discard(channel: ServerChannel): void {
    if (channel === this.#channel) this.#retire();
  }

  close(): void {
    this.#retire();
  }

  #open(identity: X509Svid | undefined): OpenChannel {
    const { trustDomain } = this.#options;
    const credentials = createMutualTlsCredentials({
      serverId: serverId(trustDomain),
      authorities: this.#authorities,
      identity,
    });
    return new OpenChannel({
      ...this.#options,
      credentials,
      identity,
      superseded: this.#scope.signal,
    });
  }

  #retire(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }
}

interface OpenChannelOptions extends ServerConnectionOptions {
  readonly credentials: ChannelCredentials;
  readonly identity: X509Svid | undefined;
  readonly superseded: AbortSignal;
}

class OpenChannel implements ServerChannel {
  readonly identity: X509Svid | undefined;
  readonly superseded: AbortSignal;
  readonly #target: string;
  readonly #credentials: ChannelCredentials;
  readonly #channel: Channel;

  constructor({ address, trustDomain, credentials, identity, superseded }: OpenChannelOptions) {
    this.identity = identity;
    this.superseded = superseded;
    this.#target = `dns:${formatServerAddress(address)}`;
    this.#credentials = credentials;
    this.#channel = new Channel(this.#target, credentials, channelOptions(address, trustDomain));
  }

  client<Name extends ServiceName>(name: Name): ServiceClient<Name> {
    const { Client } = loadService(name);
    return new Client(this.#target, this.#credentials, { channelOverride: this.#channel });
  }

  /** Calls under way may come to their end. */
  close(): void {
    this.#channel.close();
  }
}

function channelOptions({ host }: ServerAddress, trustDomain: TrustDomain): ChannelOptions {
  return {
    ...mutualTlsChannelOptions(serverId(trustDomain)),
    // Notices within half a minute that the server's machine is gone while a stream is open.
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_receive_message_length': LARGEST_MESSAGE_BYTES,
    'grpc.initial_reconnect_backoff_ms': 500,
    'grpc.max_reconnect_backoff_ms': 10_000,
    ...(isLoopback(host) ? { 'grpc.enable_http_proxy': 0 } : {}),
  };
}

/** Proxies are for the way out of this machine. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
