/** The process whose endpoints are measured, as seen from outside. */
import { fork, type ChildProcess } from 'node:child_process';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { benchProgram } from '../measuring/bench-program.js';
import type { Answer, Question } from './endpoint-process.js';

type AnswerOf<Kind extends Answer['kind']> = Extract<Answer, { kind: Kind }>;

export class MeasuredEndpoint implements Disposable {
  readonly #directory = createTemporaryDirectory();
  readonly socketPath = this.#directory.join('agent.sock');
  /** The same, with path and sha256 of the caller's program. */
  readonly hashingSocketPath = this.#directory.join('hashing.sock');
  /** Nothing but gRPC. */
  readonly bareSocketPath = this.#directory.join('bare.sock');
  readonly #process: ChildProcess;

  private constructor() {
    const { path, execArgv } = benchProgram('workload-api/endpoint-process');
    const paths = [this.socketPath, this.hashingSocketPath, this.bareSocketPath];
    this.#process = fork(path, paths, { execArgv: [...execArgv] });
  }

  static async start(): Promise<MeasuredEndpoint> {
    const endpoint = new MeasuredEndpoint();
    await endpoint.#answer('ready');
    return endpoint;
  }

  /** The resident set. */
  async memoryBytes(): Promise<number> {
    return (await this.#ask('memory', 'memory')).bytes;
  }

  /** Every caller has another SVID. @returns the milliseconds in which all streams were told. */
  async update(): Promise<number> {
    return (await this.#ask('update', 'updated')).ms;
  }

  [Symbol.dispose](): void {
    this.#process.disconnect();
    this.#directory.remove();
  }

  #ask<Kind extends Answer['kind']>(question: Question, kind: Kind): Promise<AnswerOf<Kind>> {
    const answer = this.#answer(kind);
    this.#process.send(question);
    return answer;
  }

  #answer<Kind extends Answer['kind']>(kind: Kind): Promise<AnswerOf<Kind>> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => {
        reject(new Error(`the measured process ended with ${String(code)}`));
      };
      this.#process.once('exit', onExit);
      this.#process.once('message', (answer: AnswerOf<Kind>) => {
        this.#process.off('exit', onExit);
        if (answer.kind === kind) resolve(answer);
        else reject(new Error(`the measured process answered ${answer.kind} instead of ${kind}`));
      });
    });
  }
}
