/** What a command may touch of the process around it; a test hands in strings and a fake clock instead. */
import { systemClock, type Clock } from '../runtime/clock.js';

interface TextSink {
  /** Somebody watches, to whom progress is shown. */
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface CommandHost {
  readonly stdin: AsyncIterable<Buffer | string>;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Fires when the operator asks a long-running command to end (SIGINT, SIGTERM); before the first call those signals just kill. */
  stopSignal(): AbortSignal;
  /** Calls back whenever the operator asks a long-running command to read its configuration again (SIGHUP); before, that signal kills. */
  onReloadRequest?(listener: () => void): void;
}

export function processHost(): CommandHost {
  let stop: AbortController | undefined;
  exitQuietlyWhenReaderLeaves(process.stdout);
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    clock: systemClock,
    stopSignal: () => (stop ??= abortOnSignals(['SIGINT', 'SIGTERM'])).signal,
    onReloadRequest: (listener) => {
      process.on('SIGHUP', listener);
    },
  };
}

/** `… | head` closes the pipe early: that is no failure worth a message. */
function exitQuietlyWhenReaderLeaves(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

/** The second signal ends the process at once, for when a clean stop hangs. */
function abortOnSignals(signals: readonly NodeJS.Signals[]): AbortController {
  const controller = new AbortController();
  for (const signal of signals) {
    process.once(signal, () => {
      controller.abort();
    });
  }
  return controller;
}
