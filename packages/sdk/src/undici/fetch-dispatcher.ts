/** A dispatcher by which `fetch`, of undici and of Node.js, talks to servers by their SPIFFE IDs. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { Agent, Dispatcher } from 'undici';
import type { Authorizer } from '../tls/authorizer.js';
import { tlsClientOptions } from '../tls/tls-client-options.js';
import { IDENTITY_EVENTS, type X509Identity, type X509Trust } from '../x509-source.js';

/** Whom to talk to, and how connections are kept. */
export interface FetchDispatcherOptions {
  /** Which servers are meant. Asked at each new connection, before anything is sent. */
  readonly authorize: Authorizer;
  /** Of undici's Agent; what concerns TLS is the source's. */
  readonly agent?:
    Omit<Agent.Options, 'connect' | 'factory' | 'maxCachedSessions' | 'socketPath'> | undefined;
}

/**
 * Keeps connections, but not beyond an update of the source: what is in flight ends undisturbed, and what follows goes out under the
 * new SVID. Requests by anything but https are refused, those of a redirect too.
 * @example
 * import { fetch } from 'undici'; // or Node's own, which needs no import
 * const dispatcher = createFetchDispatcher(source, { authorize: authorizeId('spiffe://example.org/billing') });
 * const response = await fetch('https://billing.internal:8443/', { dispatcher });
 * await dispatcher.close(); // when no longer needed: it listens to the source
 */
export function createFetchDispatcher(
  source: X509Identity | X509Trust,
  options: FetchDispatcherOptions,
): Dispatcher {
  return new SpiffeDispatcher(source, options);
}

class SpiffeDispatcher extends Dispatcher {
  readonly #createAgent: () => Agent;
  readonly #stop: () => void;
  /** Those of earlier SVIDs that still have requests in flight. */
  readonly #retired = new Set<Agent>();
  #agent: Agent;

  constructor(source: X509Identity | X509Trust, { authorize, agent }: FetchDispatcherOptions) {
    super();
    const { secureContext, rejectUnauthorized, checkServerIdentity } = tlsClientOptions(source, authorize);
    const connect = { secureContext, rejectUnauthorized, checkServerIdentity, maxCachedSessions: 0 };
    this.#createAgent = () => new Agent({ ...agent, connect });
    this.#agent = this.#createAgent();
    const retire = (): void => {
      const old = this.#agent;
      this.#agent = this.#createAgent();
      this.#retired.add(old);
      void old.close().finally(() => this.#retired.delete(old));
    };
    for (const event of IDENTITY_EVENTS) source.on(event, retire);
    this.#stop = () => {
      for (const event of IDENTITY_EVENTS) source.off(event, retire);
    };
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { protocol, host } = new URL(String(options.origin));
    if (protocol !== 'https:') {
      throw invalidArgument(`${protocol}//${host} is asked for in the clear; a peer is known by https alone`);
    }
    return this.#agent.dispatch(options, handler);
  }

  override close(): Promise<void>;
  override close(callback: () => void): void;
  override close(callback?: () => void): Promise<void> | undefined {
    return settle(
      this.#endAll((agent) => agent.close()),
      callback,
    );
  }

  override destroy(error?: Error | null): Promise<void>;
  override destroy(callback: () => void): void;
  override destroy(error: Error | null, callback: () => void): void;
  override destroy(first?: Error | null | (() => void), second?: () => void): Promise<void> | undefined {
    const [error, callback] = typeof first === 'function' ? [null, first] : [first ?? null, second];
    return settle(
      this.#endAll((agent) => agent.destroy(error)),
      callback,
    );
  }

  async #endAll(end: (agent: Agent) => Promise<void>): Promise<void> {
    this.#stop();
    const open = [this.#agent, ...this.#retired].filter(({ destroyed }) => !destroyed);
    await Promise.all(open.map(end));
  }
}

function settle(done: Promise<void>, callback: (() => void) | undefined): Promise<void> | undefined {
  if (callback === undefined) return done;
  void done.then(callback);
  return undefined;
}
