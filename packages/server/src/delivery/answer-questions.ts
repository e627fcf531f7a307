/** Answers what other servers of the database ask of deliveries, for the agents that are in touch with this one. */
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { DeliveryExchange, DeliveryQuestion } from '../store/delivery-exchange.js';
import type { AgentDelivery } from './agent-delivery.js';
import type { AgentRevisions } from './agent-revisions.js';
import { formatAnswer } from './answer-body.js';
import type { ConcernedAgents } from './concerned-agents.js';
import { RevisionFollower } from './revision-follower.js';

export interface DeliveryAnswersOptions {
  readonly exchange: DeliveryExchange;
  readonly agents: AgentRevisions;
  readonly concerned: ConcernedAgents;
  readonly serverId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Answered at a time; the others are found when they are repeated. */
const MAX_QUESTIONS = 100;
/** So often at most is a question answered again. */
const ANSWER_EVERY_MS = 200;
const AGENTS_AN_ANSWER = 5_000;

export class DeliveryAnswers {
  readonly #options: DeliveryAnswersOptions;
  readonly #end = new AbortController();
  readonly #answering = new Map<string, AbortController>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #unsubscribe: () => void;
  #looking: Promise<void> = Promise.resolve();
  #isLookWaiting = false;

  constructor(options: DeliveryAnswersOptions) {
    this.#options = options;
    this.#unsubscribe = options.exchange.subscribe(({ kind }) => {
      if (kind === 'questions') this.#look();
    });
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#end.abort();
    for (const answering of this.#answering.values()) answering.abort();
    await this.#looking;
    await Promise.all(this.#tasks);
  }

  #look(): void {
    if (this.#isLookWaiting) return;
    this.#isLookWaiting = true;
    this.#looking = this.#looking.then(async () => {
      this.#isLookWaiting = false;
      if (this.#end.signal.aborted) return;
      try {
        this.#answerThese(await this.#options.exchange.openQuestions(MAX_QUESTIONS));
      } catch (error) {
        this.#options.log.debug({ err: error }, 'cannot read what other servers ask of deliveries');
      }
    });
  }

  #answerThese(questions: readonly DeliveryQuestion[]): void {
    const open = new Set(questions.map(({ id }) => id));
    for (const [id, answering] of this.#answering) if (!open.has(id)) answering.abort();
    for (const question of questions) {
      if (this.#answering.has(question.id) || this.#end.signal.aborted) continue;
      const answering = new AbortController();
      this.#answering.set(question.id, answering);
      const task = this.#answer(question, answering.signal)
        .catch((error: unknown) => {
          // It is asked again, and then answered from the beginning.
          this.#options.log.debug({ err: error, revision: question.revision }, 'a delivery answer failed');
        })
        .finally(() => {
          this.#answering.delete(question.id);
          this.#tasks.delete(task);
        });
      this.#tasks.add(task);
    }
  }

  async #answer({ id, revision }: DeliveryQuestion, signal: AbortSignal): Promise<void> {
    const { agents, serverId, exchange, clock } = this.#options;
    const alarm = new Alarm(clock);
    const onChange = (): void => {
      alarm.ring();
    };
    await this.#arrival(revision, signal);
    const agentIds = this.#concernedBy(revision);
    const follower = new RevisionFollower({ revision, agentIds, agents, serverId, clock, onChange });
    try {
      for (let isFirst = true; !signal.aborted; isFirst = false) {
        const changed = follower.take();
        for (const some of inParts(changed, isFirst)) {
          const body = formatAnswer({ startedAt: agents.startedAt, agents: some });
          if (!(await exchange.answer(id, body))) return;
        }
        // Nothing new for a while: perhaps the question is gone, and the word of it was lost.
        if (!isFirst && changed.length === 0) this.#look();
        await alarm.wait(follower.changesAt, signal);
        await sleep(clock, ANSWER_EVERY_MS, signal).catch(() => undefined); // withdrawn
      }
    } finally {
      follower.stop();
    }
  }

  async #arrival(revision: number, signal: AbortSignal): Promise<void> {
    const { concerned, clock } = this.#options;
    const alarm = new Alarm(clock);
    const unsubscribe = concerned.onArrival(() => {
      alarm.ring();
    });
    try {
      while (concerned.isToCome(revision) && !signal.aborted) {
        await alarm.wait(undefined, signal);
        this.#look();
      }
    } finally {
      unsubscribe();
    }
  }

  /** Whom it concerns may be forgotten here, as after a restart; then whatever is known of anybody may help the asker, who knows. */
  #concernedBy(revision: number): ReadonlySet<SpiffeId> {
    const { concerned } = this.#options;
    try {
      return concerned.of(revision);
    } catch (error) {
      if (hasReason(error, 'not_found')) return concerned.everyone();
      throw error;
    }
  }
}

/** The first answer is given even if it is empty: it says that this server was heard. */
function* inParts(
  changed: readonly AgentDelivery[],
  isFirst: boolean,
): Generator<readonly AgentDelivery[], void, undefined> {
  if (isFirst && changed.length === 0) yield [];
  for (let start = 0; start < changed.length; start += AGENTS_AN_ANSWER) {
    yield changed.slice(start, start + AGENTS_AN_ANSWER);
  }
}
