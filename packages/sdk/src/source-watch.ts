/** What every live source does with the streams of the Workload API: follow them, tell of what changes, and end together. */
import type { EventEmitter } from 'node:events';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import { announce, waitForFirst, type SourceEvents } from './source-events.js';
import {
  WorkloadApiClient,
  type Watcher,
  type WorkloadApiClientOptions,
} from './workload-api/workload-api-client.js';

/** What every source can be told. */
export interface SourceOptions extends WorkloadApiClientOptions {
  /** Shared with others and not closed with the source; undefined: the source makes its own of the other options. */
  readonly client?: WorkloadApiClient | undefined;
  /** Ends the waiting for the first answer. */
  readonly signal?: AbortSignal | undefined;
  /** How long `create` waits for the first answer; 30 seconds unless told. */
  readonly timeoutMs?: number | undefined;
}

/** One stream of the Workload API, and what the source does with it. */
export interface SourceStream<T> {
  readonly watch: (watcher: Watcher<T>, signal: AbortSignal) => Promise<void>;
  /** Takes everything over, before listeners hear of it. @throws BonafideError `permission_denied` when nothing in it is for this source. */
  readonly accept: (update: T) => void;
  /** Lets go of everything: what is no longer granted is no longer to be used (SPIFFE Workload API sections 5.2, 6.2 and 7.2). */
  readonly deny: (error: BonafideError) => void;
  /** Given a profile that the Workload API does not offer, which then ends this stream alone; undefined: it ends the source. */
  readonly onUnimplemented?: ((error: BonafideError) => void) | undefined;
}

interface Wait {
  /** What is waited for, in errors. */
  readonly what: string;
  readonly isReady: () => boolean;
}

/** Belongs to one source, on which it emits. */
export class SourceWatch {
  readonly client: WorkloadApiClient;
  readonly clock: Clock;
  readonly #source: EventEmitter<SourceEvents>;
  readonly #options: SourceOptions;
  readonly #end = new AbortController();
  readonly #streams: Promise<void>[] = [];
  #ended: Promise<void> = Promise.resolve();

  constructor(source: EventEmitter<SourceEvents>, options: SourceOptions) {
    this.client = options.client ?? new WorkloadApiClient(options);
    this.clock = options.clock ?? systemClock;
    this.#source = source;
    this.#options = options;
    source.setMaxListeners(0); // one for each server and agent that the source serves
  }

  /** Follows a stream until the source is over. @returns the same watch. */
  follow<T>(stream: SourceStream<T>): this {
    this.#streams.push(this.#run(stream));
    return this;
  }

  /**
   * To be called once all streams are followed. The first that ends for good takes the others with it.
   * @param onOver lets go of everything, before listeners hear of the end; given why it is over, undefined after `close`.
   */
  start(onOver: (reason: BonafideError | undefined) => void): void {
    const release = keepProcessAlive();
    this.#ended = this.#untilOver(onOver).finally(() => {
      if (this.#options.client === undefined) this.client.close();
      release();
    });
  }

  /** @throws BonafideError as `X509Source.create`, the source being closed then. */
  async waitUntilReady({ what, isReady }: Wait): Promise<void> {
    const { signal, timeoutMs } = this.#options;
    try {
      await waitForFirst(this.#source, { clock: this.clock, what, isReady, signal, timeoutMs });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#ended;
  }

  async #untilOver(onOver: (reason: BonafideError | undefined) => void): Promise<void> {
    let reason: BonafideError | undefined;
    for (const stream of this.#streams) {
      stream.catch((error: unknown) => {
        reason ??= error instanceof BonafideError ? error : new BonafideError('internal', String(error));
        this.#end.abort();
      });
    }
    await Promise.allSettled(this.#streams);
    onOver(reason);
    announce(() => this.#source.emit('close', reason));
  }

  async #run<T>({ watch, accept, deny, onUnimplemented }: SourceStream<T>): Promise<void> {
    const refuse = (error: BonafideError): void => {
      deny(error);
      announce(() => this.#source.emit('denied', error));
    };
    const watcher: Watcher<T> = {
      onUpdate: (update) => {
        try {
          accept(update);
        } catch (error) {
          if (!hasReason(error, 'permission_denied')) throw error;
          refuse(error);
          return;
        }
        announce(() => this.#source.emit('update'));
      },
      onError: (error) => {
        if (hasReason(error, 'permission_denied')) refuse(error);
        else announce(() => this.#source.emit('disconnect', error));
      },
    };
    try {
      await watch(watcher, this.#end.signal);
    } catch (error) {
      if (onUnimplemented === undefined || !hasReason(error, 'unimplemented')) throw error;
      onUnimplemented(error);
      announce(() => this.#source.emit('update'));
    }
  }
}
