/** An https.Agent that presents the source's newest SVID and talks only to authorized servers. */
import { Agent, type AgentOptions } from 'node:https';
import { Duplex } from 'node:stream';
import type { X509Identity } from '../x509-source.js';
import type { Authorizer } from './authorizer.js';
import { tlsClientOptions } from './tls-client-options.js';

/**
 * Keeps connections as any agent does. At an update of the source, idle connections are closed, so that later requests go out under
 * the new SVID; requests in flight finish undisturbed.
 * @example
 * const agent = createHttpsAgent(source, authorizeId('spiffe://example.org/server'));
 * https.get('https://server.internal:8443/', { agent }, (response) => response.pipe(process.stdout));
 * @example
 * agent.destroy(); // when no longer needed: it listens to the source
 */
export function createHttpsAgent(
  source: X509Identity,
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

  constructor(source: X509Identity, authorizer: Authorizer, options: AgentOptions) {
    const { secureContext, rejectUnauthorized, checkServerIdentity, maxCachedSessions } = tlsClientOptions(
      source,
      authorizer,
    );
    super({
      ...{ keepAlive: true, ...options },
      ...{ secureContext, rejectUnauthorized, checkServerIdentity, maxCachedSessions },
    });
    const retireIdle = (): void => {
      for (const sockets of Object.values(this.freeSockets))
        for (const socket of sockets ?? []) socket.destroy();
    };
    source.on('update', retireIdle);
    source.on('denied', retireIdle);
    this.#stop = () => {
      source.off('update', retireIdle);
      source.off('denied', retireIdle);
    };
  }

  /** A source without an SVID fails the request, as an unreachable server would, rather than the caller of `https.request`. */
  override createConnection(
    options: Parameters<Agent['createConnection']>[0],
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    try {
      return super.createConnection(options, callback);
    } catch (error) {
      callback?.(error instanceof Error ? error : new Error(String(error)), new Duplex());
      return undefined;
    }
  }

  override destroy(): void {
    this.#stop();
    super.destroy();
  }
}
