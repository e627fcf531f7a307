/** Tells the programs that read the files that there are new ones: a signal, a command, or both. */
import { readFile } from 'node:fs/promises';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { signalProcess } from '@bonafide/shared/unix-socket/signal-process';
import type { OnChange, PidFileSignal } from './helper-entry.js';
import { runCommand } from './run-command.js';

interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
}

const HIGHEST_PID = 2 ** 22;

/**
 * A program that does not run needs no word: it will read the new files when it starts.
 * @throws BonafideError when one that should know does not.
 */
export async function tellOfChange(
  { commands, signals }: OnChange,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  const failures: unknown[] = [];
  for (const target of signals) await attempt(() => signalByPidFile(target, surroundings.log), failures);
  for (const command of commands) await attempt(() => runCommand(command, surroundings, signal), failures);
  if (failures.length > 0) throw failures[0];
}

async function attempt(tell: () => Promise<void>, failures: unknown[]): Promise<void> {
  try {
    await tell();
  } catch (error) {
    failures.push(error);
  }
}

/** The file is read each time: the program may have been restarted. */
async function signalByPidFile({ pidFile, signalNumber }: PidFileSignal, log: Logger): Promise<void> {
  try {
    const pid = parsePid(await readFile(pidFile, 'utf8'), pidFile);
    signalProcess(pid, signalNumber);
    log.info({ pid, pidFile, signalNumber }, 'told the process of the new files');
  } catch (error) {
    const isAbsent = hasReason(error, 'not_found') || (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!isAbsent) throw error;
    log.warn(
      { pidFile },
      `nobody is told of the new files, for the program does not seem to run: ${errorMessage(error)}`,
    );
  }
}

function parsePid(text: string, pidFile: string): number {
  // PostgreSQL writes more lines after it.
  const [, digits] = /^\s*(\d{1,7})\s*(?:\n|$)/.exec(text) ?? [];
  const pid = Number(digits);
  // Init is nobody's program to reload; 0 is not written by any.
  if (pid > 1 && pid <= HIGHEST_PID) return pid;
  throw new BonafideError('failed_precondition', `${pidFile} does not begin with a process ID`);
}
