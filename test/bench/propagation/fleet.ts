/** Many connected agents, in a process of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Answer, FleetOrder, Question } from './fleet-process.js';

const LIMIT_MS = 120_000;

export class Fleet implements Disposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when each of its agents is attested, connected and in step with the server. */
  static async start(order: FleetOrder): Promise<Fleet> {
    const program = fileURLToPath(new URL('./fleet-process.js', import.meta.url));
    const fleet = new Fleet(fork(program, [JSON.stringify(order)]));
    await fleet.#answer('connected').catch((error: unknown) => {
      fleet[Symbol.dispose]();
      throw error;
    });
    return fleet;
  }

  /** Resolves when the agents look out for the entry. @returns what resolves when all of them have it. */
  async expect(spiffeId: SpiffeId): Promise<{ readonly delivered: Promise<void> }> {
    await this.#ask({ kind: 'expect', spiffeId }, 'expecting');
    return { delivered: this.#answer('delivered') };
  }

  /** Has each agent poll once as well, evenly over the time. */
  async poll(overMs: number): Promise<void> {
    await this.#ask({ kind: 'poll', overMs }, 'polled');
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(question: Question, kind: Answer['kind']): Promise<void> {
    const answered = this.#answer(kind);
    this.#child.send(question);
    await answered;
  }

  #answer(kind: Answer['kind']): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(limit);
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        if (error === undefined) resolve();
        else reject(error);
      };
      const onMessage = (answer: Answer): void => {
        if (answer.kind === 'failed') settle(new Error(`an agent of the fleet failed: ${answer.message}`));
        else if (answer.kind === kind) settle();
      };
      const onExit = (code: number | null): void => {
        settle(new Error(`the fleet ended with code ${code ?? 'none'} before it was ${kind}`));
      };
      const limit = setTimeout(() => {
        settle(new Error(`the fleet was not ${kind} within ${LIMIT_MS} ms`));
      }, LIMIT_MS);
      this.#child.on('message', onMessage);
      this.#child.once('exit', onExit);
    });
  }
}
