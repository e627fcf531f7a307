import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationSchema } from './duration.js';
import { formatDuration, parseDuration } from './go-duration.js';

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['1h', 3600],
    ['1h30m', 5400],
    ['1.5h', 5400],
    ['90s', 90],
    ['.5s', 0.5],
    ['500ms', 0.5],
    ['2m5s', 125],
    ['-1m', -60],
    ['+1m', 60],
    ['168h', 604_800],
  ])('reads %s', (text, seconds) => {
    expect(parseDuration(text)).toBeCloseTo(seconds, 9);
  });

  it.each([
    '',
    '-',
    '1',
    '1.5',
    'h',
    '1d',
    '1h 30m',
    ' 1h',
    '1h30',
    '1H',
    '1e3s',
    '9999999999h',
    'infs',
    '1hh',
    `${'1'.repeat(70)}s`,
  ])('refuses %j and says what a duration looks like', (text) => {
    expect(() => parseDuration(text)).toThrow(/is not a duration; expected .* such as 1h30m/);
  });

  it('reads back what formatDuration wrote', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds))).toBeCloseTo(seconds, 6);
      }),
    );
  });

  it('throws nothing but its own error on any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(Number.isFinite(parseDuration(text))).toBe(true);
        } catch (error) {
          expect(error).toHaveProperty('reason', 'invalid_argument');
        }
      }),
    );
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [45, '45s'],
    [125, '2m5s'],
    [3600, '1h0m0s'],
    [93_784, '26h3m4s'],
    [1.5, '1.5s'],
    [-90, '-1m30s'],
  ])('writes %d seconds as Go does', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

describe('durationSchema', () => {
  it('gives seconds', () => {
    expect(durationSchema.parse('1h')).toBe(3600);
  });

  it.each(['0', '-1h', '5', ''])('refuses %j', (text) => {
    expect(durationSchema.safeParse(text).success).toBe(false);
  });
});
