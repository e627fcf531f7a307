/** Durations as SPIRE writes them (Go's notation): `90s`, `1h30m`, `1.5h`; inside the program they are seconds. */
import { invalidArgument } from '../errors/bonafide-error.js';

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6, // U+00B5
  μs: 1e-6, // U+03BC
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
};

const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** What a Go duration can hold, about 292 years. */
const LONGEST_SECONDS = 2 ** 63 / 1e9;
const LONGEST_TEXT = 64;

/** @returns seconds, with a fraction where the text has one. @throws BonafideError `invalid_argument`. */
export function parseDuration(text: string): number {
  const isNegative = text.startsWith('-');
  const magnitude = /^[-+]/.test(text) ? text.slice(1) : text;
  if (magnitude === '0') return 0;
  const seconds = text.length > LONGEST_TEXT ? undefined : sumOfParts(magnitude);
  if (seconds === undefined || seconds > LONGEST_SECONDS) {
    throw invalidArgument(
      `${JSON.stringify(text.slice(0, LONGEST_TEXT))} is not a duration; expected numbers with units h, m, s or ms such as 1h30m`,
    );
  }
  return isNegative ? -seconds : seconds;
}

/** Go's own way of writing it, as SPIRE's commands print it: `1h30m0s`, `2m5s`, `45s`. */
export function formatDuration(seconds: number): string {
  const sign = seconds < 0 ? '-' : '';
  const whole = Math.abs(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = `${Number((whole % 60).toFixed(9))}s`;
  if (hours > 0) return `${sign}${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${sign}${minutes}m${rest}` : `${sign}${rest}`;
}

function sumOfParts(text: string): number | undefined {
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    total += Number(part[1]) * (UNIT_SECONDS[part[2] ?? ''] ?? NaN);
  }
  return text === '' ? undefined : total;
}
