/** One question to the other servers of the database: repeated while it stands, asked anew after a failure, its answers merged as they come. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import { sleep } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { DeliveryExchange } from '../store/delivery-exchange.js';
import { parseAnswer } from './answer-body.js';
import type { MergedDelivery } from './merged-delivery.js';

export interface AskedServersOptions {
  readonly exchange: DeliveryExchange;
  readonly revision: number;
  readonly lifeMs: number;
  readonly merged: MergedDelivery;
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const REPEAT_MS = 1_000;

export class AskedServers {
  readonly #options: AskedServersOptions;
  readonly #end = new AbortController();
  readonly #unsubscribe: () => void;
  readonly #work: Promise<void>;
  #questionId: string | undefined;
  /** Undefined until the database has said. */
  #listening: readonly string[] | undefined;
  /** One read of the answers at a time. */
  #reading: Promise<void> = Promise.resolve();
  #isReadWaiting = false;

  constructor(options: AskedServersOptions) {
    this.#options = options;
    this.#unsubscribe = options.exchange.subscribe((event) => {
      if (event.kind === 'answered' && event.questionId === this.#questionId) this.#read();
    });
    this.#work = this.#askUntilEnd();
  }

  /** Whether every other server that listens has answered. */
  get haveAnswered(): boolean {
    return this.#listening?.every((serverId) => this.#options.merged.hasHeardOf(serverId)) ?? false;
  }

  /** Those that listened when they were asked and do so no more. */
  async goneServers(): Promise<readonly string[]> {
    const before = this.#listening ?? [];
    if (before.length === 0) return [];
    try {
      const now = await this.#options.exchange.listeningServers();
      return before.filter((serverId) => !now.includes(serverId));
    } catch (error) {
      this.#options.log.warn({ err: error }, 'cannot ask the database which other servers there are');
      return [];
    }
  }

  async withdraw(): Promise<void> {
    this.#unsubscribe();
    this.#end.abort();
    await this.#work;
    await this.#reading;
    if (this.#questionId === undefined) return;
    await this.#options.exchange.withdraw(this.#questionId).catch((error: unknown) => {
      // Its time will be over, and then whoever asks next removes it.
      this.#options.log.debug({ err: error }, 'cannot withdraw a question to the other servers');
    });
  }

  async #askUntilEnd(): Promise<void> {
    const { exchange, revision, lifeMs, clock, log, onChange } = this.#options;
    while (!this.#end.signal.aborted) {
      try {
        if (this.#questionId === undefined) {
          this.#questionId = await exchange.ask(revision, lifeMs);
          this.#listening = undefined;
        } else if (!(await exchange.repeat(this.#questionId))) {
          this.#questionId = undefined;
          continue;
        }
        if (this.#listening === undefined) {
          this.#listening = await exchange.listeningServers();
          onChange();
        }
        this.#read();
      } catch (error) {
        log.warn({ err: error, revision }, 'cannot ask the other servers of a delivery; trying again');
      }
      await sleep(clock, REPEAT_MS, this.#end.signal).catch(() => undefined); // withdrawn
    }
  }

  /** Reads once more after a read in progress, which may have come too early. */
  #read(): void {
    if (this.#isReadWaiting) return;
    this.#isReadWaiting = true;
    this.#reading = this.#reading.then(async () => {
      this.#isReadWaiting = false;
      const questionId = this.#questionId;
      if (questionId === undefined || this.#end.signal.aborted) return;
      try {
        for (const { serverId, body } of await this.#options.exchange.takeAnswers(questionId)) {
          const { startedAt, agents } = parseAnswer(body, serverId);
          this.#options.merged.add(serverId, startedAt, agents);
        }
      } catch (error) {
        this.#options.log.warn({ err: error }, 'cannot read what the other servers answered; asking anew');
        // Answers may be lost: a new question is answered in full.
        this.#questionId = undefined;
      }
      this.#options.onChange();
    });
  }
}
