import { describe, expect, it } from 'vitest';
import { CallerQuota } from './caller-quota.js';

describe('caller quota', () => {
  it('counts each user alone, and gives a place back', () => {
    const quota = new CallerQuota(2);
    const leave = quota.enter(1000);
    expect(leave).toBeDefined();
    expect(quota.enter(1000)).toBeDefined();
    expect(quota.enter(1000)).toBeUndefined();
    expect(quota.enter(1001)).toBeDefined();
    leave?.();
    expect(quota.enter(1000)).toBeDefined();
    expect(quota.enter(1000)).toBeUndefined();
  });
});
