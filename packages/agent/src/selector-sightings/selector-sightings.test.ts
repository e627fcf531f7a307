import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, parseSelector, type Selector } from '@bonafide/shared/registration/selector';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { expect, it, onTestFinished, vi } from 'vitest';
import { sampleEntry } from '../svid-cache/cache-samples.js';
import { SelectorSightings } from './selector-sightings.js';

const SELECTORS = ['unix:uid:1', 'unix:uid:2'].map(parseSelector);
const PATIENCE = { timeout: 30_000 };
const ENTRY = sampleEntry('a', ['unix:uid:1', 'unix:uid:2']);

function start(answer: () => Promise<void> = () => Promise.resolve()) {
  const clock = new FakeClock();
  const reports: string[][] = [];
  const report = (selectors: readonly Selector[]): Promise<void> => {
    reports.push(selectors.map(formatSelector));
    return answer();
  };
  const options = { entries: () => [ENTRY], report, random: () => 0, clock, log: silentLogger };
  const sightings = new SelectorSightings(options);
  const stop = new AbortController();
  const running = sightings.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  const after = async (ms: number): Promise<void> => {
    await vi.waitFor(() => {
      expect(clock.pendingTimers).toBeGreaterThan(0);
    }, PATIENCE);
    for (let step = 0; step < 4; step += 1) await clock.advance(ms / 4);
  };
  return { sightings, reports, after };
}

it('tells of selectors of its own entries only, once a day, and nothing when nothing is new', async () => {
  const { sightings, reports, after } = start();
  await after(600_000);
  expect(reports).toEqual([]);
  sightings.attested([...SELECTORS.slice(0, 1), parseSelector('unix:user:secret')]);
  await after(60_000);
  await vi.waitFor(() => {
    expect(reports).toEqual([['unix:uid:1']]);
  }, PATIENCE);
  sightings.attested(SELECTORS.slice(0, 1));
  sightings.attested([parseSelector('unix:user:secret')]);
  await after(600_000);
  expect(reports).toHaveLength(1);
  sightings.attested(SELECTORS);
  await after(600_000);
  await vi.waitFor(() => {
    expect(reports[1]).toEqual(['unix:uid:2']);
  }, PATIENCE);
});

it('tells nothing more to a server that does not want to know', async () => {
  const { sightings, reports, after } = start(() =>
    Promise.reject(new BonafideError('unimplemented', 'unknown service')),
  );
  sightings.attested(SELECTORS);
  await after(60_000);
  await vi.waitFor(() => {
    expect(reports).toHaveLength(1);
  }, PATIENCE);
  sightings.attested([parseSelector('unix:uid:2')]);
  expect(reports).toHaveLength(1);
});
