import { existsSync, readFileSync } from 'node:fs';
import { addSeconds } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleEntry, sampleSvid } from '../svid-cache/cache-samples.js';
import { TargetWarnings } from './target-warnings.js';

const HOUR = 3600;
const now = new Date('2030-01-01T00:00:00Z');

interface Warning {
  readonly count: number;
  readonly msg: string;
  readonly entries: readonly { readonly id: string; readonly spiffeId: string }[];
}

describe('TargetWarnings', () => {
  let directory: TemporaryDirectory;
  beforeEach(() => {
    directory = createTemporaryDirectory();
  });
  afterEach(() => {
    directory[Symbol.dispose]();
  });

  function warnings(): readonly Warning[] {
    const file = directory.join('log');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Warning);
  }

  function create(targetHours: number | undefined): TargetWarnings {
    const log = createLogger({ level: 'info', format: 'json', file: directory.join('log') });
    return new TargetWarnings({ targetSeconds: targetHours && targetHours * HOUR, log });
  }

  function obtained(id: string, hours: number): Parameters<TargetWarnings['review']>[0][number] {
    const entry = sampleEntry(id, ['unix:uid:1']);
    return { entry, svid: sampleSvid(entry, addSeconds(now, hours * HOUR)) };
  }

  it('names an entry once, however often its SVID is renewed', () => {
    const target = create(24);
    for (let renewal = 0; renewal < 3; renewal += 1)
      target.review([obtained('web', 1), obtained('db', 37)], now);
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]).toMatchObject({
      count: 1,
      entries: [{ id: 'web', spiffe_id: 'spiffe://example.org/web' }],
    });
    expect(warnings()[0]?.msg).toContain('must exceed the target by more than 12h');
  });

  it('takes exactly twelve hours more than the target for too short', () => {
    const target = create(24);
    target.review([obtained('web', 36)], now);
    expect(warnings()).toHaveLength(1);
    target.review([obtained('db', 36 + 1 / HOUR)], now);
    expect(warnings()).toHaveLength(1);
  });

  it('says it again of an entry that was long enough in between, or went and came back', () => {
    const target = create(24);
    target.review([obtained('web', 1)], now);
    target.review([obtained('web', 48)], now);
    target.review([obtained('web', 1)], now);
    expect(warnings()).toHaveLength(2);
    target.forget('web');
    target.review([obtained('web', 1)], now);
    expect(warnings()).toHaveLength(3);
  });

  it('takes one line for a batch, and names the first few of it', () => {
    create(24).review(
      Array.from({ length: 500 }, (_, index) => obtained(`web-${index}`, 1)),
      now,
    );
    expect(warnings().map(({ count, entries }) => [count, entries.length])).toEqual([[500, 10]]);
  });

  it('has nothing to say without a target', () => {
    create(undefined).review([obtained('web', 0.1)], now);
    expect(warnings()).toEqual([]);
  });
});
