/** How servers on one database ask each other how far a revision has come, without a network path of their own. */

export interface DeliveryQuestion {
  readonly id: string;
  readonly revision: number;
}

export interface DeliveryAnswer {
  readonly serverId: string;
  /** As the answering server wrote it. */
  readonly body: string;
}

export type DeliveryEvent =
  /** There is a question, perhaps one that is known already, or one is gone. */
  { readonly kind: 'questions' } | { readonly kind: 'answered'; readonly questionId: string };

/** Costs nothing while nobody asks: a channel that is listened on, and two empty tables. */
export interface DeliveryExchange {
  /** The other servers that listen now, as the database sees it. */
  listeningServers(): Promise<readonly string[]>;
  /** Asks every server that listens. @param lifeMs after which nobody answers any more. */
  ask(revision: number, lifeMs: number): Promise<string>;
  /** In case somebody did not hear it. @returns false when it is gone. */
  repeat(questionId: string): Promise<boolean>;
  /** What was answered since the last time; nobody else may take the answers of this question. */
  takeAnswers(questionId: string): Promise<readonly DeliveryAnswer[]>;
  /** The question and its answers are gone, and with them those whose time is over and whose asker is gone. */
  withdraw(questionId: string): Promise<void>;
  /** Of other servers, the oldest first. */
  openQuestions(limit: number): Promise<readonly DeliveryQuestion[]>;
  /** @returns false when the question is gone. */
  answer(questionId: string, body: string): Promise<boolean>;
  /** Hears of questions and answers; one that was lost is heard of when it is repeated. */
  subscribe(listener: (event: DeliveryEvent) => void): () => void;
}
