/** `--ttl` of the commands that mint, and the warning when less was given than was asked for. */
import { rfc3339 } from '@bonafide/shared/cli/rfc3339';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { valueOption } from '@bonafide/shared/cli/option-values';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import type { Option } from 'commander';

/** Seconds; 0 when it is not given. */
export function lifetimeOption(): Option {
  return valueOption('--ttl <duration>', 'lifetime, for example 1h30m', parseLifetime).default(
    0,
    'the default of the server',
  );
}

interface MintedLifetime {
  /** Before the server was asked; what it takes to answer shortens no life. */
  readonly askedAt: Date;
  /** Unix seconds. */
  readonly expiresAt: number;
  /** What was asked for; 0: nothing in particular. */
  readonly ttlSeconds: number;
}

/** @param kind for the message, for example `JWT-SVID`. */
export function warnOfShortLife(
  host: CommandHost,
  kind: string,
  { askedAt, expiresAt, ttlSeconds }: MintedLifetime,
): void {
  if (expiresAt - unixSeconds(askedAt) >= Math.floor(ttlSeconds)) return;
  host.stderr.write(
    `${kind} lifetime was capped shorter than specified ttl; expires ${JSON.stringify(rfc3339(expiresAt))}\n`,
  );
}

function parseLifetime(text: string): number {
  const seconds = parseDuration(text);
  if (seconds >= 0 && seconds < 2 ** 31) return seconds;
  throw invalidArgument('expected a positive duration such as 1h30m');
}
