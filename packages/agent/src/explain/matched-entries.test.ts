import { addSeconds } from '@bonafide/shared/runtime/clock';
import { expect, it } from 'vitest';
import { sampleEntry, sampleSvid } from '../svid-cache/cache-samples.js';
import type { RenewalProgress } from '../svid-renewal/renewal-book.js';
import { isServed, matchedEntry } from './matched-entries.js';

const NOW = new Date('2030-01-01T00:00:00Z');
const entry = sampleEntry('web', ['unix:uid:1']);
const good = sampleSvid(entry, addSeconds(NOW, 3600));
const ended = sampleSvid(entry, NOW);
const idle: RenewalProgress = {
  isQueued: false,
  nextAttempt: addSeconds(NOW, 60),
  hasLapsed: false,
  problem: undefined,
};

it.each([
  ['held', good, idle, true],
  ['renewing', good, { ...idle, isQueued: true }, true],
  ['renewing', good, { ...idle, isQueued: true, problem: 'the server is away' }, true],
  ['held', good, undefined, true],
  ['signing', undefined, { ...idle, isQueued: true }, false],
  ['failed', undefined, { ...idle, problem: 'refused' }, false],
  ['expired', ended, idle, false],
  ['expired', undefined, { ...idle, hasLapsed: true, problem: 'the server is away' }, false],
  ['on_demand', undefined, undefined, false],
] as const)('is %s', (state, svid, progress, served) => {
  const matched = matchedEntry(entry, svid, progress, NOW);
  expect(matched.state).toBe(state);
  expect(isServed(matched)).toBe(served);
  expect(matched.problem).toBe(progress?.problem);
});
