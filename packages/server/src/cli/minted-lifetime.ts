/** `--ttl` of the commands that mint, and the warning when less was given than was asked for. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { valueOption } from '@bonafide/shared/cli/option-values';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import type { Option } from 'commander';
import { rfc3339 } from './printed-words.js';

/** Seconds; 0 when it is not given. */
export function lifetimeOption(): Option {
  return valueOption('--ttl <duration>', 'lifetime, for example 1h30m', parseLifetime).default(
    0,
    'the default of the server',
  );
}

/**
 * @param kind for the message, for example `JWT-SVID`.
 * @param expiresAt Unix seconds.
 */
export function warnOfShortLife(
  host: CommandHost,
  kind: string,
  expiresAt: number,
  ttlSeconds: number,
): void {
  if (expiresAt - unixSeconds(host.clock.now()) >= Math.floor(ttlSeconds)) return;
  host.stderr.write(
    `${kind} lifetime was capped shorter than specified ttl; expires ${JSON.stringify(rfc3339(expiresAt))}\n`,
  );
}

function parseLifetime(text: string): number {
  const seconds = parseDuration(text);
  if (seconds >= 0 && seconds < 2 ** 31) return seconds;
  throw invalidArgument('expected a positive duration such as 1h30m');
}
