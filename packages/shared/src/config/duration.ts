/** Durations in configuration files: text such as `1h30m` in, seconds out. */
import type { z } from 'zod';
import { invalidArgument } from '../errors/bonafide-error.js';
import { parseDuration } from './go-duration.js';
import { parsedString } from './parsed-string.js';

/** A positive duration in a configuration file; its output is seconds. */
export const durationSchema: z.ZodType<number, string> = parsedString((text) => {
  const seconds = parseDuration(text);
  if (seconds > 0) return seconds;
  throw invalidArgument(`${text} is not a positive duration; expected for example 1h30m`);
}, 'a duration such as 1h30m, 90s or 24h');
