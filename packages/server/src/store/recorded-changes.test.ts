import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { describe, expect, it } from 'vitest';
import type { Change } from './change.js';
import { MOST_CHANGES, RecordedChanges } from './recorded-changes.js';

/** As long as they come in practice. */
function changeNumber(index: number): Change {
  const id = parseSpiffeId(`spiffe://example.org/namespace/production/service/web-${index}`);
  const parent = parseSpiffeId(
    'spiffe://example.org/spire/agent/k8s_psat/cluster/9b6a40c1-6b2f-4a83-8f3f-2b6d9f0e6a11',
  );
  return {
    kind: 'entry',
    entryId: `0d6a40c1-6b2f-4a83-8f3f-${String(index).padStart(12, '0')}`,
    spiffeIds: [id],
    parentIds: [parent],
    trustDomains: [],
  };
}

describe('the changes of a transaction', () => {
  it('are each named once', () => {
    const changes = new RecordedChanges();
    for (const index of [1, 2, 1]) changes.add(changeNumber(index));
    expect(changes.all).toEqual([changeNumber(1), changeNumber(2)]);
  });

  it('are all named up to the bound, which fits into a row of the log, and beyond it are anything', () => {
    const changes = new RecordedChanges();
    for (let index = 0; index < MOST_CHANGES; index += 1) changes.add(changeNumber(index));
    expect(changes.all).toHaveLength(MOST_CHANGES);
    expect(JSON.stringify(changes.all).length).toBeLessThan(20_000_000);
    for (const index of [MOST_CHANGES, 1, MOST_CHANGES + 1]) changes.add(changeNumber(index));
    expect(changes.all).toEqual([{ kind: 'everything' }]);
  });
});
