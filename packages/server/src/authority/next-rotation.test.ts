import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  activationTime,
  nextRotation,
  preparationTime,
  type RotatingAuthority,
  type RotationState,
} from './next-rotation.js';

const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;
const start = new Date('2030-01-01T00:00:00Z');

function at(ms: number): Date {
  return new Date(start.getTime() + ms);
}

function authority(beginMs: number, endMs: number, isUsable = true): RotatingAuthority {
  return { notBefore: at(beginMs), notAfter: at(endMs), isUsable };
}

const day = authority(0, DAY_MS);

describe('the times of an authority', () => {
  it.each([
    ['a day', DAY_MS, 12 * HOUR_MS, 20 * HOUR_MS],
    ['an hour', HOUR_MS, HOUR_MS / 2, (HOUR_MS * 5) / 6],
    ['a year', 365 * DAY_MS, 335 * DAY_MS, 358 * DAY_MS],
  ])('of %s', (_name, lifeMs, preparedAfterMs, activatedAfterMs) => {
    const one = authority(0, lifeMs);
    expect(preparationTime(one)).toEqual(at(preparedAfterMs));
    expect(activationTime(one)).toEqual(at(activatedAfterMs));
  });
});

describe('nextRotation', () => {
  const none = undefined;
  const prepared = authority(12 * HOUR_MS, 36 * HOUR_MS);
  it.each([
    ['nothing at all', none, none, 0, 'prepare'],
    ['a prepared one alone', prepared, none, 13, 'activate'],
    ['a prepared one that expired', authority(-DAY_MS, -1), none, 0, 'prepare'],
    ['a prepared one without its key', authority(0, DAY_MS, false), none, 0, 'prepare'],
    ['a fresh active one', none, day, 0, at(12 * HOUR_MS)],
    ['an active one at half of its life', none, day, 12, 'prepare'],
    ['an active one past half, the next one prepared', prepared, day, 13, at(20 * HOUR_MS)],
    [
      'an active one past half, the next one without its key',
      { ...prepared, isUsable: false },
      day,
      13,
      'prepare',
    ],
    ['an active one near its end, the next one prepared', prepared, day, 20, 'activate'],
    ['an active one near its end, nothing prepared', none, day, 20, 'prepare'],
    ['an active one that expired', none, day, 25, 'prepare'],
    ['an active one without its key', none, { ...day, isUsable: false }, 1, 'prepare'],
    [
      'an active one without its key, the next one prepared',
      authority(0, DAY_MS),
      { ...day, isUsable: false },
      1,
      'activate',
    ],
    [
      'an active one from the future, after the clock was set back',
      none,
      authority(DAY_MS, 2 * DAY_MS),
      0,
      'prepare',
    ],
    [
      'everything from the future',
      authority(DAY_MS, 2 * DAY_MS),
      authority(DAY_MS, 2 * DAY_MS),
      0,
      'prepare',
    ],
  ])('with %s', (_name, next, active, hour, expected) => {
    const action = nextRotation({ prepared: next, active }, at(hour * HOUR_MS));
    expect(action).toEqual(expected instanceof Date ? { kind: 'wait', until: expected } : { kind: expected });
  });

  const anyAuthority = fc.option(
    fc.record({
      beginMs: fc.integer({ min: -DAY_MS, max: DAY_MS }),
      lifeMs: fc.integer({ min: 1000, max: 3 * DAY_MS }),
      isUsable: fc.boolean(),
    }),
    { nil: undefined },
  );
  const toAuthority = (
    parts: { beginMs: number; lifeMs: number; isUsable: boolean } | undefined,
  ): RotatingAuthority | undefined =>
    parts && authority(parts.beginMs, parts.beginMs + parts.lifeMs, parts.isUsable);

  it('prepares another one when the prepared one would have to be followed at once', () => {
    const stale = authority(-20 * DAY_MS, DAY_MS);
    expect(nextRotation({ prepared: stale, active: undefined }, start)).toEqual({ kind: 'prepare' });
  });

  it('comes to rest within two actions from any state, with an authority that can sign, and then waits for a time to come', () => {
    fc.assert(
      fc.property(
        anyAuthority,
        anyAuthority,
        fc.integer({ min: 60_000, max: 30 * DAY_MS }),
        (one, other, lifeMs) => {
          let state: RotationState = { prepared: toAuthority(one), active: toAuthority(other) };
          for (let actions = 0; ; actions += 1) {
            expect(actions).toBeLessThanOrEqual(2);
            const action = nextRotation(state, start);
            if (action.kind === 'prepare') state = { ...state, prepared: authority(-10_000, lifeMs) };
            else if (action.kind === 'activate') state = { prepared: undefined, active: state.prepared };
            else {
              expect(action.until.getTime()).toBeGreaterThan(start.getTime());
              break;
            }
          }
          expect(state.active?.isUsable).toBe(true);
          expect(state.active?.notBefore.getTime()).toBeLessThanOrEqual(start.getTime());
          expect(state.active?.notAfter.getTime()).toBeGreaterThan(start.getTime());
        },
      ),
    );
  });
});
