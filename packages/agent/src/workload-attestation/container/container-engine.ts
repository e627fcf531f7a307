/** A container engine on a Unix socket: those who ask the same at once share one request, and an engine that restarts is asked again. */
import { Agent } from 'node:http';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { askEngine } from './engine-request.js';
import { SharedAsks } from './shared-asks.js';

export interface ContainerEngineOptions {
  readonly socketPath: string;
  readonly clock: Clock;
  /** Whether a connection is kept for the next question; an engine that a user starts on demand would never stop. */
  readonly keepsConnection: boolean;
}

const REQUEST_LIMIT_MS = 5_000;
/** As SPIRE's: three more, after 100, 200 and 400 ms. */
const RETRY_DELAYS_MS = [100, 200, 400];
const IDLE_CONNECTION_MS = 30_000;
/** More questions at once wait for each other. */
const MOST_CONNECTIONS = 16;

export class ContainerEngine {
  readonly socketPath: string;
  readonly #agent: Agent;
  readonly #clock: Clock;
  readonly #asks = new SharedAsks<unknown>();

  constructor({ socketPath, clock, keepsConnection }: ContainerEngineOptions) {
    this.socketPath = socketPath;
    this.#clock = clock;
    this.#agent = new Agent({
      keepAlive: keepsConnection,
      timeout: IDLE_CONNECTION_MS,
      maxSockets: MOST_CONNECTIONS,
      maxFreeSockets: 2,
    });
  }

  /**
   * The JSON value there; undefined when the engine says that there is no such thing.
   * @param engineUids as one of whom the engine must run.
   * @throws BonafideError `unavailable`, `deadline_exceeded`, `permission_denied` or `failed_precondition`, as `askEngine`.
   */
  get(path: string, engineUids: readonly number[], signal: AbortSignal): Promise<unknown> {
    return this.#asks.ask(`${engineUids.join()} ${path}`, signal, (stop) =>
      this.#ask(path, engineUids, stop),
    );
  }

  async #ask(path: string, engineUids: readonly number[], signal: AbortSignal): Promise<unknown> {
    for (const delayMs of RETRY_DELAYS_MS) {
      try {
        return await this.#askOnce(path, engineUids, signal);
      } catch (error) {
        if (!hasReason(error, 'unavailable') || signal.aborted) throw error;
        await sleep(this.#clock, delayMs, signal);
      }
    }
    return await this.#askOnce(path, engineUids, signal);
  }

  async #askOnce(path: string, engineUids: readonly number[], signal: AbortSignal): Promise<unknown> {
    const { status, body } = await askEngine({
      socketPath: this.socketPath,
      agent: this.#agent,
      path,
      engineUids,
      limitMs: REQUEST_LIMIT_MS,
      clock: this.#clock,
      signal,
    });
    if (status === 404) return undefined;
    if (status !== 200) {
      throw new BonafideError(
        status >= 500 ? 'unavailable' : 'failed_precondition',
        `the engine at ${this.socketPath} answered ${status}: ${sayings(body)}`,
      );
    }
    try {
      return JSON.parse(body.toString('utf8'));
    } catch (cause) {
      throw new BonafideError('failed_precondition', `the engine at ${this.socketPath} answered no JSON`, {
        cause,
      });
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** What an engine says about an error, for the log: one short line. */
function sayings(body: Buffer): string {
  return JSON.stringify(body.subarray(0, 200).toString('utf8').trim());
}
