/** Keeps the cache in step with the server for as long as the agent lives: by Watch, or by polling where there is none. */
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { WatchCursor } from '@bonafide/shared/sync/watch-message';
import type { ServerChannel, ServerChannels } from '../agent-identity/server-connection.js';
import { QUARANTINE_PAUSES, retryAfterMs, retryPauseMs } from '../agent-identity/retry-pause.js';
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
  /** The server wants the node proven anew. */
  readonly onProofRequest?: () => void;
  /** Resolves when what the server says may be taken in. */
  readonly turn?: () => Promise<void>;
  /** The server is heard again after it was not: whoever waits for it need not wait on. */
  readonly onConnected?: () => void;
  readonly agentVersion: string;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const RETRY = { initialMs: 1_000, maximumMs: 30_000, leastPart: 0.1 };
/** A server that wants to stop later than this does not stop. */
const LONGEST_SPREAD_MS = 600_000;
const POLL_INTERVAL_MS = 5_000;
/** A server without Watch may be replaced by one that has it. */
const POLLS_BEFORE_WATCH_IS_TRIED_AGAIN = 720;

export class EntrySync {
  readonly #options: EntrySyncOptions;
  readonly #retry: Backoff;
  readonly #quarantineRetry: Backoff;
  /** Ends what is under way with the server, which is then begun anew. */
  #renewed = new AbortController();
  #isConnected = false;
  #isWatching = false;
  /** Ends a pause that the server did not ask for. */
  #hurry: AbortController | undefined;
  #lastSyncAt: Date | undefined;
  #firstSync: (() => void) | undefined;
  /** Resolves once the server has told what the agent is entitled to, for the first time in this run. */
  readonly synced: Promise<void>;

  constructor(options: EntrySyncOptions) {
    this.#options = options;
    this.#retry = new Backoff({ ...RETRY, random: options.random });
    this.#quarantineRetry = new Backoff({ ...QUARANTINE_PAUSES, random: options.random });
    this.synced = new Promise((resolve) => {
      this.#firstSync = resolve;
    });
  }

  /** Whether the server's word is being heard right now. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Whether the server tells of changes by itself; otherwise it is asked every few seconds. */
  get isWatching(): boolean {
    return this.#isWatching;
  }

  /** When the cache last was in step with the server: as long as a Watch stream lasts, now. */
  get lastSyncAt(): Date | undefined {
    return this.#isConnected && this.#isWatching ? this.#options.clock.now() : this.#lastSyncAt;
  }

  /** Somebody else has reached the server: a pause after a failure to reach it ends now. */
  retryNow(): void {
    this.#hurry?.abort();
  }

  /** What the agent holds has changed under it: has the server tell everything from the position that it is asked for now. */
  startOver(): void {
    const former = this.#renewed;
    this.#renewed = new AbortController();
    former.abort();
  }

  /** Works until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.turn?.();
      const channel = this.#options.connection.channel();
      const departure = new AbortController();
      const scope = AbortSignal.any([signal, channel.superseded, this.#renewed.signal]);
      try {
        await this.#watch(channel, AbortSignal.any([scope, departure.signal]), departure);
      } catch (error) {
        // The agent ends, or goes on at once: with a new SVID, or at another server.
        if (isAborted(scope) || departure.signal.reason === 'moved') continue;
        if (hasReason(error, 'unimplemented')) {
          this.#options.log.info('the server has no Watch; asking it for changes every few seconds instead');
          await this.#poll(signal);
        } else {
          const cause = isAborted(departure.signal) ? stopping() : error;
          await this.#recover(cause, 'lost touch with the server', channel, scope);
        }
      }
    }
    this.#isConnected = false;
  }

  async #watch(channel: ServerChannel, signal: AbortSignal, departure: AbortController): Promise<void> {
    const { agentVersion, cursor, onProofRequest } = this.#options;
    const ended = new AbortController();
    let leaving: Promise<void> | undefined;
    try {
      await watchEntries({
        channel,
        cursor: cursor(),
        agentVersion,
        signal,
        apply: (change, reached) => {
          if (!isAborted(signal)) this.#apply(change, reached, channel);
        },
        ...(onProofRequest === undefined ? {} : { onProofRequest }),
        onDrain: (spreadMs) => {
          leaving ??= this.#leave(channel, spreadMs, AbortSignal.any([signal, ended.signal]), departure);
        },
      });
      throw new BonafideError('unavailable', 'the server ended the stream of changes');
    } finally {
      ended.abort();
      await leaving;
    }
  }

  /** Reads on until a moment within the spread, and until another server has answered; where there is none, makes way at once. */
  async #leave(
    channel: ServerChannel,
    spreadMs: number,
    signal: AbortSignal,
    departure: AbortController,
  ): Promise<void> {
    const { clock, connection, log, random } = this.#options;
    try {
      if (!(await connection.hasAlternative())) {
        departure.abort('stopping');
        return;
      }
      const delayMs = random() * Math.min(spreadMs, LONGEST_SPREAD_MS);
      log.info({ inMs: Math.round(delayMs) }, 'the server is about to stop; going to another one');
      await sleep(clock, delayMs, signal);
      // Without another server this one is heard as long as it speaks.
      if (await connection.moveAway(channel, signal)) departure.abort('moved');
      else if (!isAborted(signal)) log.warn('the server is about to stop and no other one answers');
    } catch (error) {
      if (!isAborted(signal)) log.error({ err: error }, `cannot leave the server: ${errorMessage(error)}`);
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { cache, clock, connection, log, random, turn } = this.#options;
    for (let polls = 0; polls < POLLS_BEFORE_WATCH_IS_TRIED_AGAIN && !isAborted(signal); polls += 1) {
      await turn?.();
      const channel = connection.channel();
      const scope = AbortSignal.any([signal, channel.superseded, this.#renewed.signal]);
      try {
        const change = await pollEntries({ channel, known: (id) => cache.entry(id), log, signal: scope });
        if (isAborted(scope)) continue;
        this.#apply(change, undefined, channel);
        await sleep(clock, POLL_INTERVAL_MS * (0.9 + 0.2 * random()), scope);
      } catch (error) {
        if (isAborted(scope)) continue;
        await this.#recover(error, 'cannot ask the server for changes', channel, scope);
      }
    }
  }

  #apply(change: AuthorizedChange, cursor: WatchCursor | undefined, channel: ServerChannel): void {
    const { clock, connection, onConnected } = this.#options;
    const wasConnected = this.#isConnected;
    this.#options.apply(change, cursor);
    this.#isConnected = true;
    this.#isWatching = cursor !== undefined;
    this.#lastSyncAt = clock.now();
    this.#retry.reset();
    this.#quarantineRetry.reset();
    connection.confirm(channel);
    if (!wasConnected) onConnected?.();
    this.#firstSync?.();
    this.#firstSync = undefined;
  }

  async #recover(
    error: unknown,
    message: string,
    channel: ServerChannel,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, connection, explain, log, random, reportRefusal } = this.#options;
    this.#lastSyncAt = this.lastSyncAt;
    this.#isConnected = false;
    const isQuarantined = hasReason(error, 'agent_quarantined');
    reportRefusal(error, channel);
    const isAway = hasReason(error, 'unavailable', 'deadline_exceeded');
    const goesElsewhere = isAway && connection.discard(channel);
    const backoffMs = (isQuarantined ? this.#quarantineRetry : this.#retry).nextDelayMs();
    // Another server has not asked to be left alone.
    const delayMs = goesElsewhere ? backoffMs : retryPauseMs(backoffMs, error, random);
    log[isQuarantined ? 'debug' : 'warn'](
      { retryInMs: Math.round(delayMs), lastSyncAt: this.#lastSyncAt },
      `${message}: ${explain(error)}`,
    );
    const hurry = new AbortController();
    if (isAway && (goesElsewhere || retryAfterMs(error) === 0)) this.#hurry = hurry;
    try {
      await sleep(clock, delayMs, AbortSignal.any([signal, hurry.signal]));
    } catch (cause) {
      if (!isAborted(signal) && !isAborted(hurry.signal)) throw cause;
    } finally {
      this.#hurry = undefined;
    }
  }
}

function stopping(): BonafideError {
  return new BonafideError('unavailable', 'the server is stopping');
}
