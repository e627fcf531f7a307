/** Many agents of a server, in a few processes of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { benchProgram } from '../measuring/bench-program.js';
import type { AgentsServer } from './attest-agents.js';
import type {
  Answer,
  Manner,
  NumberedAnswer,
  Question,
  SimulatorOrder,
  SimulatorState,
} from './simulator-order.js';

const LIMIT_MS = 180_000;
/** One reads all messages of its agents on one thread. */
const AGENTS_A_PROCESS = 500;

interface SimulatorOptions {
  readonly servers: readonly AgentsServer[];
  readonly agents: number;
  readonly aliasPath: string;
}

export interface FollowOptions {
  /** All of them unless told; the others stop. */
  readonly agents?: number;
  readonly manner: Manner;
  readonly isFresh?: boolean;
  readonly overMs?: number;
}

export class Simulator implements Disposable {
  readonly #processes: readonly AgentsProcess[];
  readonly agents: number;

  private constructor(agents: number, processes: readonly AgentsProcess[]) {
    this.agents = agents;
    this.#processes = processes;
  }

  /** Resolves when each of its agents is attested; they follow nothing yet. */
  static async start({ agents, ...order }: SimulatorOptions): Promise<Simulator> {
    const shares = sharesOf(agents, Math.ceil(agents / AGENTS_A_PROCESS));
    const processes = shares.map((share) => new AgentsProcess({ ...order, agents: share }));
    try {
      await Promise.all(processes.map(({ ready }) => ready));
    } catch (error) {
      for (const each of processes) each.kill();
      throw error;
    }
    return new Simulator(agents, processes);
  }

  /** Resolves when all that follow have what is theirs. */
  async follow({ agents = this.agents, manner, isFresh = false, overMs = 0 }: FollowOptions): Promise<void> {
    const shares = sharesOf(agents, this.#processes.length);
    await this.#askAll((index) => ({ kind: 'follow', agents: shares[index] ?? 0, manner, isFresh, overMs }));
  }

  async stop(): Promise<void> {
    await this.#askAll(() => ({ kind: 'stop' }));
  }

  /** @returns when each agent first saw the SPIFFE ID, in milliseconds since the epoch, once all have. */
  async arrivals(spiffeId: SpiffeId): Promise<readonly number[]> {
    const answers = await this.#askAll(() => ({ kind: 'arrivals', spiffeId }));
    return answers.flatMap((answer) => (answer.kind === 'arrived' ? answer.atMs : []));
  }

  /** Resolves when there is an SVID for each entry of each agent. */
  async sign(): Promise<void> {
    await this.#askAll(() => ({ kind: 'sign' }));
  }

  /** Resolves when no SVID is signed by the authority any more. */
  async replaced(subjectKeyId: string): Promise<void> {
    await this.#askAll(() => ({ kind: 'replaced', subjectKeyId }));
  }

  async state(): Promise<SimulatorState> {
    const answers = await this.#askAll(() => ({ kind: 'state' }));
    return answers.flatMap((answer) => (answer.kind === 'state' ? [answer.state] : [])).reduce(added);
  }

  /** None of them says farewell. */
  [Symbol.dispose](): void {
    for (const each of this.#processes) each.kill();
  }

  #askAll(question: (index: number) => Question): Promise<readonly Answer[]> {
    return Promise.all(this.#processes.map((each, index) => each.ask(question(index))));
  }
}

class AgentsProcess {
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number | 'ready', (answer: Answer | Error) => void>();
  #asked = 0;

  constructor(order: SimulatorOrder) {
    const { path, execArgv } = benchProgram('simulator/simulator-process');
    this.#child = fork(path, [JSON.stringify(order)], { execArgv: [...execArgv] });
    this.#child.on('message', (message: NumberedAnswer) => {
      if (message.number === 'ready') this.#settle('ready', { kind: 'done' });
      else this.#settle(message.number, 'error' in message ? new Error(message.error) : message.answer);
    });
    this.#child.once('exit', (code) => {
      for (const number of this.#waiting.keys()) {
        this.#settle(number, new Error(`the simulated agents ended with code ${code ?? 'none'}`));
      }
    });
    this.ready = this.#wait('ready', 'attested').then(() => undefined);
  }

  ask(question: Question): Promise<Answer> {
    const number = (this.#asked += 1);
    const answered = this.#wait(number, question.kind);
    this.#child.send({ number, question });
    return answered;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #wait(number: number | 'ready', what: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        this.#settle(number, new Error(`the simulated agents were not done within ${LIMIT_MS} ms: ${what}`));
      }, LIMIT_MS);
      this.#waiting.set(number, (answer) => {
        clearTimeout(limit);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      });
    });
  }

  #settle(number: number | 'ready', answer: Answer | Error): void {
    const settle = this.#waiting.get(number);
    this.#waiting.delete(number);
    settle?.(answer);
  }
}

function sharesOf(total: number, parts: number): readonly number[] {
  return Array.from(
    { length: parts },
    (_, index) => Math.floor((total * (index + 1)) / parts) - Math.floor((total * index) / parts),
  );
}

function added(one: SimulatorState, other: SimulatorState): SimulatorState {
  const holdings: Record<string, number> = { ...one.holdings };
  for (const [name, count] of Object.entries(other.holdings)) holdings[name] = (holdings[name] ?? 0) + count;
  return {
    following: one.following + other.following,
    holdings,
    svids: one.svids + other.svids,
    polls: one.polls + other.polls,
    failures: one.failures + other.failures,
    lastFailure: one.lastFailure ?? other.lastFailure,
    turnedAway: one.turnedAway + other.turnedAway,
    snapshots: one.snapshots + other.snapshots,
    deltas: one.deltas + other.deltas,
  };
}
