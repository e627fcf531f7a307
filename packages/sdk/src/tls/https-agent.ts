/** An https.Agent that presents the source's newest SVID and talks only to authorized servers. */
import { Agent, type AgentOptions } from 'node:https';
import { Duplex } from 'node:stream';
import { IDENTITY_EVENTS, type X509Identity, type X509Trust } from '../x509-source.js';
import type { Authorizer } from './authorizer.js';
import { tlsClientOptions } from './tls-client-options.js';

/**
 * Keeps connections as any agent does, but not beyond an update of the source: idle ones are closed at once and busy ones after their
 * request, so that what follows goes out under the new SVID. Nothing in flight is disturbed.
 * @example
 * const agent = createHttpsAgent(source, authorizeId('spiffe://example.org/server'));
 * https.get('https://server.internal:8443/', { agent }, (response) => response.pipe(process.stdout));
 * @example
 * agent.destroy(); // when no longer needed: it listens to the source
 */
export function createHttpsAgent(
  source: X509Identity | X509Trust,
  authorizer: Authorizer,
  options: Pick<
    AgentOptions,
    'keepAlive' | 'keepAliveMsecs' | 'maxSockets' | 'maxFreeSockets' | 'scheduling' | 'timeout'
  > = {},
): Agent {
  return new SpiffeAgent(source, authorizer, options);
}

class SpiffeAgent extends Agent {
  readonly #stop: () => void;
  /** Connections made under the SVID of now. */
  #fresh = new WeakSet<Duplex>();

  constructor(source: X509Identity | X509Trust, authorizer: Authorizer, options: AgentOptions) {
    const { secureContext, rejectUnauthorized, checkServerIdentity, maxCachedSessions } = tlsClientOptions(
      source,
      authorizer,
    );
    super({
      ...{ keepAlive: true, ...options },
      ...{ secureContext, rejectUnauthorized, checkServerIdentity, maxCachedSessions },
    });
    const retireConnections = (): void => {
      this.#fresh = new WeakSet();
      for (const sockets of Object.values(this.freeSockets))
        for (const socket of sockets ?? []) socket.destroy();
    };
    for (const event of IDENTITY_EVENTS) source.on(event, retireConnections);
    this.#stop = () => {
      for (const event of IDENTITY_EVENTS) source.off(event, retireConnections);
    };
  }

  /** A source without an SVID fails the request, as an unreachable server would, rather than the caller of `https.request`. */
  override createConnection(
    options: Parameters<Agent['createConnection']>[0],
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    try {
      const connection = super.createConnection(options, callback);
      if (connection instanceof Duplex) this.#fresh.add(connection);
      return connection;
    } catch (error) {
      callback?.(error instanceof Error ? error : new Error(String(error)), new Duplex());
      return undefined;
    }
  }

  override keepSocketAlive(socket: Duplex): boolean {
    if (!this.#fresh.has(socket)) return false;
    // It answers whether the socket may be kept, whatever its type says.
    const keepSocketAlive = super.keepSocketAlive.bind(this) as (socket: Duplex) => boolean;
    return keepSocketAlive(socket);
  }

  override destroy(): void {
    this.#stop();
    super.destroy();
  }
}
