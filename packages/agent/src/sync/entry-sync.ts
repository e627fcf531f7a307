/** Keeps the cache in step with the server for as long as the agent lives: by Watch, or by polling where there is none. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { WatchCursor } from '@bonafide/shared/sync/watch-message';
import type { ServerChannel, ServerChannels } from '../agent-identity/server-connection.js';
import { retryAfterMs } from '../agent-identity/until-it-works.js';
import type { AuthorizedChange } from '../svid-cache/authorized-change.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import { pollEntries } from './poll-entries.js';
import { watchEntries } from './watch-entries.js';

interface EntrySyncOptions {
  readonly connection: ServerChannels;
  readonly cache: SvidCache;
  /** Puts a change into the cache; `cursor` is undefined when the server has no log. */
  readonly apply: (change: AuthorizedChange, cursor: WatchCursor | undefined) => void;
  /** Where the log is to be resumed; undefined: from the start. */
  readonly cursor: () => WatchCursor | undefined;
  readonly reportRefusal: (error: unknown, channel: ServerChannel) => void;
  readonly explain: (error: unknown) => string;
  readonly agentVersion: string;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const RETRY = { initialMs: 500, maximumMs: 30_000 };
const POLL_INTERVAL_MS = 5_000;
/** A server without Watch may be replaced by one that has it. */
const POLLS_BEFORE_WATCH_IS_TRIED_AGAIN = 720;

export class EntrySync {
  readonly #options: EntrySyncOptions;
  readonly #retry: Backoff;
  #isConnected = false;
  #lastSyncAt: Date | undefined;
  #firstSync: (() => void) | undefined;
  /** Resolves once the server has told what the agent is entitled to, for the first time in this run. */
  readonly synced: Promise<void>;

  constructor(options: EntrySyncOptions) {
    this.#options = options;
    this.#retry = new Backoff({ ...RETRY, random: options.random });
    this.synced = new Promise((resolve) => {
      this.#firstSync = resolve;
    });
  }

  /** Whether the server's word is being heard right now. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  get lastSyncAt(): Date | undefined {
    return this.#lastSyncAt;
  }

  /** Works until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const channel = this.#options.connection.channel();
      const scope = AbortSignal.any([signal, channel.superseded]);
      try {
        await this.#watch(channel, scope);
      } catch (error) {
        if (isOver(scope)) continue; // the agent ends, or has a new SVID and goes on under it at once
        if (hasReason(error, 'unimplemented')) {
          this.#options.log.info('the server has no Watch; asking it for changes every few seconds instead');
          await this.#poll(signal);
        } else {
          await this.#recover(error, 'lost touch with the server', channel, scope);
        }
      } finally {
        this.#isConnected = false;
      }
    }
  }

  async #watch(channel: ServerChannel, signal: AbortSignal): Promise<void> {
    const { agentVersion, cursor } = this.#options;
    await watchEntries({
      channel,
      cursor: cursor(),
      agentVersion,
      signal,
      apply: (change, reached) => {
        this.#apply(change, reached);
      },
    });
    throw new BonafideError('unavailable', 'the server ended the stream of changes');
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { cache, clock, connection, log, random } = this.#options;
    for (let polls = 0; polls < POLLS_BEFORE_WATCH_IS_TRIED_AGAIN && !isOver(signal); polls += 1) {
      const channel = connection.channel();
      const scope = AbortSignal.any([signal, channel.superseded]);
      try {
        const change = await pollEntries({ channel, known: (id) => cache.entry(id), log, signal: scope });
        this.#apply(change, undefined);
        await sleep(clock, POLL_INTERVAL_MS * (0.9 + 0.2 * random()), scope);
      } catch (error) {
        if (isOver(scope)) continue;
        this.#isConnected = false;
        await this.#recover(error, 'cannot ask the server for changes', channel, scope);
      }
    }
  }

  #apply(change: AuthorizedChange, cursor: WatchCursor | undefined): void {
    this.#options.apply(change, cursor);
    this.#isConnected = true;
    this.#lastSyncAt = this.#options.clock.now();
    this.#retry.reset();
    this.#firstSync?.();
    this.#firstSync = undefined;
  }

  async #recover(
    error: unknown,
    message: string,
    channel: ServerChannel,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, connection, explain, log, reportRefusal } = this.#options;
    reportRefusal(error, channel);
    if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
    const delayMs = Math.max(this.#retry.nextDelayMs(), retryAfterMs(error));
    log.warn(
      { retryInMs: Math.round(delayMs), lastSyncAt: this.#lastSyncAt },
      `${message}: ${explain(error)}`,
    );
    await sleep(clock, delayMs, signal).catch((cause: unknown) => {
      if (!isOver(signal)) throw cause;
    });
  }
}

/** A function, because the answer changes while something is awaited. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}
