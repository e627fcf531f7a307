import { describe, expect, it } from 'vitest';
import { SnapshotAdmission } from './snapshot-admission.js';

describe('the admission of snapshots', () => {
  it('lets so many begin at once, and the others in the order in which they came', async () => {
    const admission = new SnapshotAdmission({ atOnce: 2 });
    const places = Array.from({ length: 5 }, () => admission.request());
    expect(places.map(({ isAdmitted }) => isAdmitted)).toEqual([true, true, false, false, false]);
    places[1]?.leave();
    expect(await places[2]?.admitted).toBe(true);
    places[0]?.leave();
    expect(await places[3]?.admitted).toBe(true);
    expect(admission).toMatchObject({ underWay: 2, waiting: 1 });
  });

  it('forgets who leaves, admitted or not, and however often', async () => {
    const admission = new SnapshotAdmission({ atOnce: 1 });
    const [first, second, third] = [admission.request(), admission.request(), admission.request()];
    second.leave();
    second.leave();
    expect(await second.admitted).toBe(false);
    first.leave();
    first.leave();
    expect(await third.admitted).toBe(true);
    expect(admission).toMatchObject({ underWay: 1, waiting: 0 });
    third.leave();
    expect(admission).toMatchObject({ underWay: 0, waiting: 0 });
  });

  it.each([
    [0, 1_000],
    [0.5, 5_500],
    [0.999999, 10_000],
  ])('refuses those for whom there is no room, and says when to come back: %f', (random, retryAfterMs) => {
    const admission = new SnapshotAdmission({ atOnce: 1, mostWaiting: 1, random: () => random });
    admission.request();
    admission.request();
    expect(() => admission.request()).toThrow(
      expect.objectContaining({ reason: 'resource_exhausted', retryAfterMs }),
    );
  });
});
