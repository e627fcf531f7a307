/** How far long work has come, told on standard error: one line that is written over on a terminal, a line every ten seconds elsewhere. */
import type { Timer } from '../runtime/clock.js';
import type { CommandHost } from './command-host.js';
import { isTerminal } from './terminal.js';

export interface Progress {
  /** That many more are done. */
  advance(count: number): void;
  /** The work ended, well or not: nothing is left on the terminal, nothing is written any more. */
  done(): void;
}

const TERMINAL_INTERVAL_MS = 100;
const LINE_INTERVAL_MS = 10_000;
const CLEAR_LINE = '\r\u001b[K';

/**
 * @param label what is being done and to what, for example `importing entries`.
 * @param total how many there will be, where that is known.
 * @example
 * const progress = startProgress(host, 'importing entries', 1_000_000);
 * try {
 *   for await (const page of pages) progress.advance(page.length);
 * } finally {
 *   progress.done();
 * }
 */
export function startProgress(host: CommandHost, label: string, total?: number): Progress {
  const watched = isTerminal(host, 'stderr');
  const intervalMs = watched ? TERMINAL_INTERVAL_MS : LINE_INTERVAL_MS;
  const startedAt = host.clock.monotonicMs();
  let count = 0;
  let shown = false;
  let timer: Timer | undefined;
  let nextAt = startedAt + intervalMs;

  const tick = (): void => {
    const text = progressText({ label, count, total, elapsedMs: host.clock.monotonicMs() - startedAt });
    host.stderr.write(watched ? `${CLEAR_LINE}${text}` : `${text}\n`);
    shown = true;
    timer?.cancel();
    nextAt = host.clock.monotonicMs() + intervalMs;
    timer = host.clock.schedule(intervalMs, tick);
  };
  timer = host.clock.schedule(intervalMs, tick);

  return {
    advance: (more) => {
      count += more;
      // Work that holds the event loop lets no timer through.
      if (timer !== undefined && host.clock.monotonicMs() >= nextAt) tick();
    },
    done: () => {
      timer?.cancel();
      timer = undefined;
      if (watched && shown) host.stderr.write(CLEAR_LINE);
      shown = false;
    },
  };
}

/** As long as the work runs. @param work is given what tells that so many more are done. */
export async function withProgress<T>(
  host: CommandHost,
  label: string,
  work: (advance: (count: number) => void) => Promise<T>,
): Promise<T> {
  const progress = startProgress(host, label);
  try {
    return await work((count) => {
      progress.advance(count);
    });
  } finally {
    progress.done();
  }
}

interface ProgressState {
  readonly label: string;
  readonly count: number;
  readonly total: number | undefined;
  readonly elapsedMs: number;
}

/** `importing entries: 12,000 of 50,000 (24 %), 4,000/s`. */
function progressText({ count, elapsedMs, label, total }: ProgressState): string {
  const rate = Math.round(count / Math.max(elapsedMs / 1000, 0.001));
  const share =
    total === undefined || total <= 0 ? undefined : Math.min(100, Math.floor((count / total) * 100));
  const counted =
    share === undefined || total === undefined
      ? grouped(count)
      : `${grouped(count)} of ${grouped(total)} (${share} %)`;
  return `${label}: ${counted}, ${grouped(rate)}/s`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
