import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRequestId } from './current-call.js';
import { openTelemetrySchema } from './open-telemetry-config.js';
import { formatTraceparent, parseTraceparent } from './traceparent.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('traceparent', () => {
  it.each([
    [`00-${TRACE}-${SPAN}-01`, { traceId: TRACE, spanId: SPAN, isSampled: true }],
    [`00-${TRACE}-${SPAN}-00`, { traceId: TRACE, spanId: SPAN, isSampled: false }],
    [`00-${TRACE}-${SPAN}-03`, { traceId: TRACE, spanId: SPAN, isSampled: true }],
    [`00-${'0'.repeat(32)}-${SPAN}-01`, undefined],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
    [`ff-${TRACE}-${SPAN}-01`, undefined],
    [`00-${TRACE.toUpperCase()}-${SPAN}-01`, undefined],
    [`00-${TRACE}-${SPAN}-01-more`, undefined],
    [`00-${TRACE}-${SPAN}`, undefined],
    ['', undefined],
    [Buffer.from(`00-${TRACE}-${SPAN}-01`), undefined],
    [undefined, undefined],
  ])('%s is read as %j', (header, expected) => {
    expect(parseTraceparent(header)).toEqual(expected);
  });

  it('is written as it is read, and never refuses a call', () => {
    expect(formatTraceparent({ traceId: TRACE, spanId: SPAN, isSampled: true })).toBe(
      `00-${TRACE}-${SPAN}-01`,
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parseTraceparent(text);
        expect(parsed === undefined || text.startsWith('00-')).toBe(true);
      }),
    );
  });
});

describe('the request id of a caller', () => {
  it.each([
    ['5f8e0c39-6d4f-4c1c-9d0b-1f6b0d8f4a3e', true],
    ['5F8E0C39-6D4F-4C1C-9D0B-1F6B0D8F4A3E', false],
    ['5f8e0c39-6d4f-4c1c-9d0b-1f6b0d8f4a3e\nlevel=error', false],
    ['', false],
    ['a'.repeat(10_000), false],
  ])('%j: taken %s', (text, isTaken) => {
    expect(parseRequestId(text)).toBe(isTaken ? text : undefined);
  });
});

describe('telemetry.OpenTelemetry', () => {
  it('needs an endpoint alone', () => {
    expect(openTelemetrySchema.parse({ endpoint: 'http://localhost:4318' })).toEqual({
      endpoint: 'http://localhost:4318',
      sample_ratio: 0.1,
      headers: {},
      timeout: 10,
    });
  });

  it.each([
    {},
    { endpoint: 'localhost:4318' },
    { endpoint: 'grpc://localhost:4317' },
    { endpoint: 'https://user:secret@collector.example.org' },
    { endpoint: 'http://localhost', sample_ratio: 2 },
    { endpoint: 'http://localhost', headers: { 'a b': 'c' } },
    { endpoint: 'http://localhost', headers: { a: 'b\r\nc: d' } },
    { endpoint: 'http://localhost', timeout: '0s' },
    { endpoint: 'http://localhost', protocol: 'grpc' },
  ])('refuses %j', (wrong) => {
    expect(openTelemetrySchema.safeParse(wrong).success).toBe(false);
  });
});
