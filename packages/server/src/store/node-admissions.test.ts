import { parseSelector } from '@bonafide/shared/registration/selector';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { describe, expect, it } from 'vitest';
import { exampleTrustDomain } from './example-records.js';
import type { NodeAdmissionRecord } from './node-admission-record.js';
import { DATABASES, useStores } from './store-fixtures.js';

const now = new Date(1_900_000_000_123);
const later = (ms: number): Date => new Date(now.getTime() + ms);

function record(name: string, changes: Partial<NodeAdmissionRecord> = {}): NodeAdmissionRecord {
  return {
    agentId: agentId(exampleTrustDomain('example.org'), 'tpm', name),
    attestationType: 'tpm',
    selectors: [parseSelector('tpm:a:1'), parseSelector('tpm:b:2')],
    address: '192.0.2.7',
    firstAskedAt: now,
    lastAskedAt: later(10),
    expiresAt: later(60_000),
    decisions: [{ by: 'uid:1', isApproval: true, at: later(5), reason: 'rack 7' }],
    ...changes,
  };
}

describe.each(DATABASES)('nodes that asked to be let in, on %s', (database) => {
  const stores = useStores(database);

  it('come back as they went in, page by page, and are replaced as a whole', async () => {
    const store = await stores.open();
    const [third, first, second] = [record('c'), record('a', { decisions: [] }), record('b')] as const;
    await store.write(async ({ nodeAdmissions }) => {
      for (const one of [third, first, second]) await nodeAdmissions.put(one);
      expect(await nodeAdmissions.count()).toBe(3);
    });
    const page = await store.nodeAdmissions.list(now, { size: 2, token: undefined });
    expect(page.items).toEqual([first, second]);
    const rest = await store.nodeAdmissions.list(now, { size: 2, token: page.nextPageToken });
    expect(rest).toEqual({ items: [third], nextPageToken: undefined });
    const changed = record('a', { selectors: [], address: '::1', lastAskedAt: later(20) });
    await store.write(({ nodeAdmissions }) => nodeAdmissions.put(changed));
    expect(await store.nodeAdmissions.get(first.agentId)).toEqual(changed);
    await store.write(({ nodeAdmissions }) => nodeAdmissions.delete(first.agentId));
    expect(await store.nodeAdmissions.get(first.agentId)).toBeUndefined();
    await store.write(({ nodeAdmissions }) => nodeAdmissions.delete(first.agentId));
  });

  it('are not listed once they have expired, and are deleted then', async () => {
    const store = await stores.open();
    await store.write(async ({ nodeAdmissions }) => {
      await nodeAdmissions.put(record('short', { expiresAt: later(1000) }));
      await nodeAdmissions.put(record('long', { expiresAt: later(1001) }));
    });
    const { items } = await store.nodeAdmissions.list(later(1000), { size: 0, token: undefined });
    expect(items.map(({ agentId: id }) => id)).toEqual([record('long').agentId]);
    expect(await store.nodeAdmissions.countExpired(later(1000))).toBe(1);
    await store.write(({ nodeAdmissions }) => nodeAdmissions.deleteExpired(later(1000)));
    expect(await store.nodeAdmissions.count()).toBe(1);
    expect(await store.nodeAdmissions.countExpired(later(1000))).toBe(0);
  });
});
