/** The server as the agent's renewal sees it: a process of its own, so that signing does not weigh on the agent's event loop. */
import { fork, type ChildProcess } from 'node:child_process';
import type {
  SigningRequest,
  SigningResult,
  X509SvidSigner,
} from '@bonafide/agent/svid-renewal/x509-svid-signer';
import { benchProgram } from '../measuring/bench-program.js';
import type { SigningAnswer, SigningQuestion } from './signing-process.js';

export class ForkedSigner implements X509SvidSigner, Disposable {
  readonly #process: ChildProcess;

  constructor(trustDomain: string) {
    const { path, execArgv } = benchProgram('workload-api/signing-process');
    this.#process = fork(path, [trustDomain], { execArgv: [...execArgv], serialization: 'advanced' });
  }

  /** @returns the certificate of the authority that signs from now on, DER. */
  async replaceAuthority(): Promise<Buffer> {
    const [certificate] = await this.#ask({ kind: 'replace authority' });
    if (certificate === undefined) throw new Error('the signing process has no authority');
    return certificate;
  }

  async sign(requests: readonly SigningRequest[]): Promise<readonly SigningResult[]> {
    const certificates = await this.#ask({ kind: 'sign', csrs: requests.map(({ csr }) => csr) });
    return certificates.map((certificate) => ({ kind: 'signed', certificateChain: [certificate] }));
  }

  [Symbol.dispose](): void {
    this.#process.disconnect();
  }

  /** One at a time, as the renewal asks. */
  #ask(question: SigningQuestion): Promise<SigningAnswer> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => {
        reject(new Error(`the signing process ended with ${String(code)}`));
      };
      this.#process.once('exit', onExit);
      this.#process.once('message', (answer) => {
        this.#process.off('exit', onExit);
        resolve(answer as SigningAnswer);
      });
      this.#process.send(question);
    });
  }
}
