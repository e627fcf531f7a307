/** `api watch`: prints every update that a workload in the place of this process would get, until it is stopped. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { failureText } from '@bonafide/shared/cli/failure-text';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep } from '@bonafide/shared/runtime/clock';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import type { Command } from 'commander';
import { addSocketFlags, workloadSocketPath, type SocketFlags } from '../workload-socket.js';
import { fetchX509Svids } from './workload-call.js';
import { readX509Answer } from './x509-answer.js';
import { x509AnswerText } from './x509-text.js';

const RETRY = { initialMs: 1_000, maximumMs: 30_000 };

export function watch(command: Command, host: CommandHost): void {
  addSocketFlags(command);
  addExamples(command, [
    'bonafide-agent api watch',
    'bonafide-agent api watch --socket-path /run/bonafide/agent.sock',
  ]).action(async (flags: SocketFlags) => {
    const release = keepProcessAlive();
    try {
      await printUpdates(workloadSocketPath(flags, host.environment), host);
    } finally {
      release();
    }
  });
}

async function printUpdates(socketPath: string, host: CommandHost): Promise<void> {
  const signal = host.stopSignal();
  const backoff = new Backoff(RETRY);
  let sinceMs = host.clock.monotonicMs();
  while (!signal.aborted) {
    try {
      for await (const response of fetchX509Svids(socketPath, { signal })) {
        const nowMs = host.clock.monotonicMs();
        host.stdout.write(x509AnswerText(readX509Answer(response, host.clock.now()), nowMs - sinceMs));
        sinceMs = nowMs;
        backoff.reset();
      }
    } catch (error) {
      if (hasReason(error, 'cancelled')) continue;
      if (hasReason(error, 'invalid_argument')) throw error;
      host.stderr.write(`${failureText(error)}\n`);
    }
    await sleep(host.clock, backoff.nextDelayMs(), signal).catch(() => undefined); // ends when stopped
  }
}
