/** `telemetry.OpenTelemetry`: where traces go, and how many calls are traced. */
import { z } from 'zod';
import { durationSchema } from '../config/duration.js';

const endpoint = z.string().max(2048).refine(isCollector, {
  message: 'is no address of a collector; expected for example http://localhost:4318/v1/traces',
});

/** RFC 9110 section 5.1. */
const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, 'is no name of a header');
const headerValue = z
  .string()
  .max(8192)
  .regex(/^[\t\x20-\x7e]*$/, 'has what no header may have');

export const openTelemetrySchema = z.strictObject({
  /** Of OTLP over HTTP; without a path, /v1/traces. */
  endpoint,
  /** Of the calls that begin here: 1 traces each. */
  sample_ratio: z.number().min(0).max(1).default(0.1),
  /** For example the credentials that the collector asks for. */
  headers: z.record(headerName, headerValue).default({}),
  /** Of one delivery to the collector. */
  timeout: durationSchema
    .refine((seconds) => seconds > 0 && seconds <= 300, { message: 'is not between 0s and 5m' })
    .prefault('10s'),
});

export type OpenTelemetryConfig = z.output<typeof openTelemetrySchema>;

function isCollector(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '';
}
