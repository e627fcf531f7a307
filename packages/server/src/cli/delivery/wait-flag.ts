/** `--wait[=duration]`: has a command that changes something wait until the agents hold it. */
import { formatDuration, parseDuration } from '@bonafide/shared/config/go-duration';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { valueOption } from '@bonafide/shared/cli/option-values';
import type { Option } from 'commander';

export interface WaitFlag {
  /** In seconds; absent: not at all. */
  readonly wait?: number;
}

const DEFAULT_WAIT = '30s';
/** What the server accepts. */
const LONGEST_WAIT_SECONDS = 3600;

export function waitOption(): Option {
  return valueOption(
    '--wait [duration]',
    `waits until every agent that it concerns holds the change, and names those that do not (for ${DEFAULT_WAIT} when it does not say how long)`,
    parseWait,
  ).preset(DEFAULT_WAIT);
}

function parseWait(text: string): number {
  const seconds = parseDuration(text);
  if (seconds >= 0 && seconds <= LONGEST_WAIT_SECONDS) return seconds;
  throw invalidArgument(`expected a duration from 0 to ${formatDuration(LONGEST_WAIT_SECONDS)}`);
}
