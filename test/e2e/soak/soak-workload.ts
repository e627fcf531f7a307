/** A process of the rotation soak, and what it tells of itself. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { waitFor } from '@bonafide/testing/wait-for';

const SCRIPT = join(import.meta.dirname, 'soak-workload.mjs');

export interface SoakPeer {
  readonly id: string;
  readonly port: number;
}

interface SoakEvent {
  readonly event: 'identity' | 'listening' | 'count' | 'failed' | 'stopped';
  readonly issuer?: string;
  readonly serialNumber?: string;
  readonly port?: number;
  readonly answered?: number;
  readonly failed?: number;
  readonly keyIds?: readonly string[];
}

export class SoakWorkload implements Disposable {
  readonly id: string;
  /** Of every X.509-SVID that it had. */
  readonly serialNumbers = new Set<string>();
  /** The name of the authority that signed the present one. */
  issuer: string | undefined;
  answered = 0;
  failed = 0;
  /** Of the authorities that signed the tokens with which it was accepted. */
  keyIds: readonly string[] = [];
  readonly #child: ChildProcess;
  readonly #failures: string[] = [];
  #port: number | undefined;
  #isStopped = false;
  #stderr = '';

  /** @param program by whose path the agent knows it. */
  constructor(id: string, program: string, address: string, pauseMs: number) {
    this.id = id;
    const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: address };
    this.#child = spawn(program, [SCRIPT, new URL(id).host, `${pauseMs}`], { stdio: 'pipe', env });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    if (this.#child.stdout === null) throw new Error('the workload has no standard output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#note(line);
    });
  }

  async peer(): Promise<SoakPeer> {
    const explain = (): string => this.lastWords();
    const port = await waitFor(`${this.id} to listen`, () => this.#port, { limitMs: 150_000, explain });
    return { id: this.id, port };
  }

  call(peers: readonly SoakPeer[]): void {
    this.#child.stdin?.write(`${JSON.stringify(peers.filter(({ id }) => id !== this.id))}\n`);
  }

  /** Lets what is under way finish. */
  async stop(): Promise<void> {
    this.#child.stdin?.write('stop\n');
    const explain = (): string => this.lastWords();
    await waitFor(`${this.id} to stop calling`, () => this.#isStopped, { limitMs: 150_000, explain });
  }

  lastWords(): string {
    return [...this.#failures.slice(-5), this.#stderr].join('\n');
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }

  #note(line: string): void {
    const { event, answered, failed, issuer, keyIds, port, serialNumber } = JSON.parse(line) as SoakEvent;
    this.answered = answered ?? this.answered;
    this.failed = failed ?? this.failed;
    this.keyIds = keyIds ?? this.keyIds;
    this.#port ??= port;
    this.issuer = issuer ?? this.issuer;
    if (serialNumber !== undefined) this.serialNumbers.add(serialNumber);
    if (event === 'failed') this.#failures.push(line);
    if (event === 'stopped') this.#isStopped = true;
  }
}
