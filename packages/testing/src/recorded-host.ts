/** A process around a command that a test made up: what it reads is given, what it prints is kept. */
import { Readable } from 'node:stream';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';

export interface RecordedHost extends CommandHost {
  readonly printed: { readonly stdout: string; readonly stderr: string };
}

export interface RecordedHostOptions {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Whether somebody watches both streams. */
  readonly terminal?: boolean;
  readonly stopSignal?: AbortSignal;
}

/**
 * @example
 * const host = createRecordedHost();
 * expect(await runServerProgram(['--version'], host)).toBe(0);
 * expect(host.printed.stdout).toMatch(/^\d/);
 */
export function createRecordedHost(options: RecordedHostOptions = {}): RecordedHost {
  const printed = { stdout: '', stderr: '' };
  const isTTY = options.terminal === true;
  return {
    printed,
    stdin: Readable.from([options.input ?? '']),
    stdout: { isTTY, write: (text) => (printed.stdout += text) },
    stderr: { isTTY, write: (text) => (printed.stderr += text) },
    environment: options.environment ?? {},
    clock: options.clock ?? systemClock,
    stopSignal: () => options.stopSignal ?? new AbortController().signal,
  };
}
