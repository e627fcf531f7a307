/** A command run to its end within a time limit, without a shell; what it prints goes into the log. */
import { spawn } from 'node:child_process';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly timeoutSeconds: number;
}

interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
}

const MOST_OUTPUT_CHARACTERS = 4096;

/** @throws BonafideError `failed_precondition` when it cannot be started or fails, `deadline_exceeded` when it takes too long. */
export async function runCommand(
  { program, args, timeoutSeconds }: Command,
  { clock, log }: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) throw new BonafideError('cancelled', `${program} was not run`);
  // In a process group of its own, so that what it starts ends with it.
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(0, MOST_OUTPUT_CHARACTERS);
    });
  }
  const late = new AbortController();
  const kill = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // all of the group have exited
    }
  };
  const timer = clock.schedule(timeoutSeconds * 1000, () => {
    late.abort();
    kill();
  });
  signal.addEventListener('abort', kill, { once: true });
  try {
    const ending = await new Promise<string | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signalName) => {
        resolve(
          code === 0 ? undefined : code === null ? `by ${signalName ?? 'a signal'}` : `with code ${code}`,
        );
      });
    });
    log.info({ command: program, output: output.trim() }, 'ran the command that is to follow a change');
    if (late.signal.aborted) {
      throw new BonafideError(
        'deadline_exceeded',
        `${program} was killed: it took longer than ${timeoutSeconds} s`,
      );
    }
    if (ending !== undefined) {
      throw new BonafideError('failed_precondition', `${program} ended ${ending}: ${output.trim()}`);
    }
  } catch (error) {
    if (error instanceof BonafideError) throw error;
    throw new BonafideError('failed_precondition', `cannot run ${program}: ${String(error)}`, {
      cause: error,
    });
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', kill);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}
