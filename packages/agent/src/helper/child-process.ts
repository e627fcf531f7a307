/** The program beside which a helper runs: started once its files are there, told of new ones, and started again if asked. */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
import type { Logger } from '@bonafide/shared/runtime/logger';

interface ChildCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Started again whenever it ends; otherwise the helper ends with it. */
  readonly restarts: boolean;
  /** What makes it read the files anew; undefined: it notices by itself. */
  readonly renewSignal: number | undefined;
}

interface SupervisedChildOptions {
  readonly command: ChildCommand;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const RESTART = { initialMs: 1_000, maximumMs: 60_000 };
/** What has run this long has not failed at its start. */
const WELL_AFTER_MS = 10_000;
const STOP_GRACE_MS = 10_000;
/** As a shell tells that a signal ended a program. */
const SIGNALLED = 128;

export class SupervisedChild {
  readonly #options: SupervisedChildOptions;
  #child: ChildProcess | undefined;

  constructor(options: SupervisedChildOptions) {
    this.#options = options;
  }

  /** New files are there. */
  renew(): void {
    const { renewSignal } = this.#options.command;
    if (renewSignal !== undefined) this.pass(renewSignal);
  }

  /** Hands a signal on; the child has not been waited for, so its pid is its own. */
  pass(signalNumber: number): void {
    const child = this.#child;
    if (child?.exitCode === null && child.signalCode === null) child.kill(signalNumber);
  }

  /**
   * Runs it until the signal fires, or until it ends if it is not to be restarted.
   * @returns its exit code, as a shell has it.
   * @throws BonafideError `failed_precondition` when it cannot be started.
   */
  async run(signal: AbortSignal): Promise<number> {
    const { clock, command, log, random } = this.#options;
    const backoff = new Backoff({ ...RESTART, random });
    for (;;) {
      const startedMs = clock.monotonicMs();
      let code: number;
      try {
        code = await this.#runOnce(signal);
      } catch (error) {
        if (!command.restarts) throw error;
        log.error(errorMessage(error));
        code = SIGNALLED - 1;
      }
      if (!command.restarts || signal.aborted) return code;
      if (clock.monotonicMs() - startedMs > WELL_AFTER_MS) backoff.reset();
      const delayMs = backoff.nextDelayMs();
      log.warn(
        { command: command.program, code, restartInMs: Math.round(delayMs) },
        'the program ended; starting it again',
      );
      await sleep(clock, delayMs, signal).catch(() => undefined); // ends when stopped
      if (isAborted(signal)) return code;
    }
  }

  async #runOnce(signal: AbortSignal): Promise<number> {
    const { clock, command, log } = this.#options;
    const child = spawn(command.program, command.args, { stdio: 'inherit' });
    this.#child = child;
    let grace: { cancel(): void } | undefined;
    const stop = (): void => {
      child.kill('SIGTERM');
      grace = clock.schedule(STOP_GRACE_MS, () => {
        child.kill('SIGKILL');
      });
    };
    try {
      return await new Promise<number>((resolve, reject) => {
        child.once('error', (error) => {
          reject(
            new BonafideError('failed_precondition', `cannot run cmd ${command.program}: ${error.message}`, {
              cause: error,
            }),
          );
        });
        child.once('spawn', () => {
          log.info({ command: command.program, pid: child.pid }, 'started the program');
          if (signal.aborted) stop();
          else signal.addEventListener('abort', stop, { once: true });
        });
        child.once('exit', (code, signalName) => {
          resolve(code ?? SIGNALLED + (signalName === null ? 0 : constants.signals[signalName]));
        });
      });
    } finally {
      signal.removeEventListener('abort', stop);
      grace?.cancel();
    }
  }
}
