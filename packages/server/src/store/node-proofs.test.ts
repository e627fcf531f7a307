import { describe, expect, it } from 'vitest';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { exampleNode, exampleTrustDomain } from './example-records.js';
import type { NodeProofRecord } from './node-record.js';
import { DATABASES, useStores } from './store-fixtures.js';
import type { Store } from './store.js';

const named = (name: string) => agentId(exampleTrustDomain('example.org'), 'tpm', name);
const A = named('a');
const B = named('b');

const proof = (changes: Partial<NodeProofRecord> = {}): NodeProofRecord => ({
  agentId: A,
  provenAt: new Date(1_000),
  requestedAt: undefined,
  record: '{"pcrs":{}}',
  ...changes,
});

const put = (store: Store, record: NodeProofRecord): Promise<void> =>
  store.write(({ nodeProofs }) => nodeProofs.put(record));

describe.each(DATABASES)('what was noted of proofs, on %s', (database) => {
  const stores = useStores(database);

  it('comes back as it went in', async () => {
    const store = await stores.open();
    const bare = proof({ agentId: B, provenAt: undefined, record: undefined, requestedAt: new Date(5) });
    await put(store, proof());
    await put(store, bare);
    expect(await store.nodeProofs.get(A)).toEqual(proof());
    expect(await store.nodeProofs.getMany([B, A, named('unknown')])).toEqual(
      expect.arrayContaining([proof(), bare]),
    );
    expect(await store.nodeProofs.get(named('unknown'))).toBeUndefined();
    await store.write(({ nodeProofs }) => nodeProofs.delete(A));
    expect(await store.nodeProofs.get(A)).toBeUndefined();
  });

  it('goes with its node', async () => {
    const store = await stores.open();
    await store.write(async ({ nodes, nodeProofs }) => {
      await nodes.put(exampleNode({ agentId: A }));
      await nodeProofs.put(proof());
    });
    await store.write(({ nodes }) => nodes.delete(A));
    expect(await store.nodeProofs.get(A)).toBeUndefined();
  });

  it('is touched without a revision: a later time and a later request stay', async () => {
    const store = await stores.open();
    await put(store, proof({ requestedAt: new Date(1_500) }));
    await put(store, proof({ agentId: B, provenAt: undefined, requestedAt: new Date(9_000) }));
    const revision = await store.currentRevision();
    await store.nodeProofs.touch(
      new Map([
        [A, new Date(2_000)],
        [B, new Date(3_000)],
        [named('gone'), new Date(4_000)],
      ]),
    );
    expect(await store.nodeProofs.get(A)).toEqual(proof({ provenAt: new Date(2_000) }));
    expect(await store.nodeProofs.get(B)).toMatchObject({
      provenAt: new Date(3_000),
      requestedAt: new Date(9_000),
    });
    expect(await store.nodeProofs.get(named('gone'))).toBeUndefined();
    await store.nodeProofs.touch(new Map([[A, new Date(1_999)]]));
    await store.nodeProofs.touch(new Map());
    expect((await store.nodeProofs.get(A))?.provenAt).toEqual(new Date(2_000));
    expect(await store.currentRevision()).toBe(revision);
  });

  it('tells of a request once, and of nothing else', async () => {
    const store = await stores.open();
    const told: unknown[] = [];
    store.subscribe(({ changes }) => void told.push(changes));
    await put(store, proof());
    await put(store, proof({ requestedAt: new Date(7) }));
    await put(store, proof({ requestedAt: new Date(7), provenAt: new Date(3) }));
    await put(store, proof());
    expect(told).toEqual([[], [{ kind: 'node_proof', agentId: A }], [], []]);
  });

  it('of two thousand nodes is touched at once', async () => {
    const store = await stores.open();
    const ids = Array.from({ length: 2_000 }, (_, index) => named(`n${index}`));
    await store.write(async ({ nodeProofs }) => {
      for (const each of ids) await nodeProofs.put(proof({ agentId: each }));
    });
    await store.nodeProofs.touch(new Map(ids.map((each) => [each, new Date(5_000)])));
    const found = await store.nodeProofs.getMany(ids);
    expect(found.filter(({ provenAt }) => provenAt?.getTime() === 5_000)).toHaveLength(2_000);
  });
});

describe.each(DATABASES)('a quarantine, on %s', (database) => {
  const stores = useStores(database);

  it('is kept with its findings, and its begin and end are resets', async () => {
    const store = await stores.open();
    const told: unknown[] = [];
    store.subscribe(({ changes }) => void told.push(...changes));
    const quarantine = {
      since: new Date(5),
      findings: [
        {
          kind: 'pcr',
          text: 'PCR 7 changed',
          bank: 'sha256',
          pcr: 7,
          before: 'aa',
          after: 'bb',
          event: '12: x',
        },
        { kind: 'operator', text: 'looks odd' },
      ],
    } as const;
    const node = exampleNode({ agentId: A });
    await store.write(({ nodes }) => nodes.put(node));
    await store.write(({ nodes }) => nodes.put({ ...node, quarantine }));
    expect(await store.nodes.get(A)).toEqual({ ...node, quarantine });
    await store.write(({ nodes }) => nodes.put({ ...node, quarantine: { ...quarantine, findings: [] } }));
    await store.write(({ nodes }) => nodes.put(node));
    expect(await store.nodes.get(A)).toEqual(node);
    const effects = ['reset', 'reset', 'renewed', 'reset'];
    expect(told).toEqual(effects.map((effect) => ({ kind: 'node', agentId: A, effect })));
  });
});
