import { createPrivateKey, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { MemoryIdentities, type MemoryContent } from '@bonafide/testing/memory-identities';
import { TestAuthority } from '@bonafide/testing/test-authority';
import type { WorkloadUpdate } from '../svid-cache/workload-identities.js';
import { X509Responses } from './x509-responses.js';

const { definition } = loadService('SpiffeWorkloadAPI');
const responses = new X509Responses({ log: silentLogger });
let ours: TestAuthority;
let theirs: TestAuthority;

beforeAll(async () => {
  ours = await TestAuthority.create('example.org');
  theirs = await TestAuthority.create('other.example');
});

async function updateOf(content: MemoryContent): Promise<WorkloadUpdate> {
  const identities = new MemoryIdentities(ours.trustDomain);
  identities.set(content);
  return await new Promise((resolve) => identities.subscribe([{ type: 'unix', value: 'uid:1' }], resolve));
}

async function entry(path: string, hint?: string): Promise<MemoryContent['entries'][number]> {
  return {
    selectors: ['unix:uid:1'],
    svid: await ours.issueX509Svid(path),
    ...(hint === undefined ? {} : { hint }),
  };
}

describe('X.509 responses', () => {
  it('hold the whole chain, the PKCS#8 key that belongs to it, and bundles by trust domain', async () => {
    const intermediate = await ours.createIntermediate();
    const svid = await intermediate.issueX509Svid('/web');
    const bundle: TrustBundle = {
      ...ours.bundle(),
      x509Authorities: [...ours.bundle().x509Authorities, ...theirs.bundle().x509Authorities],
    };
    const update = await updateOf({
      entries: [{ selectors: ['unix:uid:1'], svid }],
      bundles: [bundle, theirs.bundle()],
    });
    const message = definition.FetchX509SVID.responseDeserialize(responses.svids(update));
    expect(message.svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
      ['spiffe://example.org/web', ''],
    ]);
    expect(message.crl).toEqual([]);
    const [first] = message.svids;
    if (first === undefined) throw new Error('no SVID');
    expect(first.x509Svid).toEqual(Buffer.concat(svid.certificateChain));
    expect(svid.certificateChain).toHaveLength(2);
    const key = createPrivateKey({ key: first.x509SvidKey, format: 'der', type: 'pkcs8' });
    expect(new X509Certificate(first.x509Svid).checkPrivateKey(key)).toBe(true);
    expect(first.bundle).toEqual(Buffer.concat([ours.certificate, theirs.certificate]));
    expect(message.federatedBundles).toEqual({ 'spiffe://other.example': theirs.certificate });

    const bundles = definition.FetchX509Bundles.responseDeserialize(responses.bundles(update));
    expect(bundles.bundles).toEqual({
      'spiffe://example.org': Buffer.concat([ours.certificate, theirs.certificate]),
      'spiffe://other.example': theirs.certificate,
    });
  });

  it('keep the order of the identities and give each hint to the first who has it', async () => {
    const warn = vi.fn();
    const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { warn });
    const entries = [
      await entry('/a', 'internal'),
      await entry('/b'),
      await entry('/c', 'internal'),
      await entry('/d', 'external'),
    ];
    const update = await updateOf({ entries, bundles: [ours.bundle()] });
    const message = definition.FetchX509SVID.responseDeserialize(new X509Responses({ log }).svids(update));
    expect(message.svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
      ['spiffe://example.org/a', 'internal'],
      ['spiffe://example.org/b', ''],
      ['spiffe://example.org/c', ''],
      ['spiffe://example.org/d', 'external'],
    ]);
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      { hint: 'internal', entryId: 'entry-2', keptBy: 'entry-0' },
      expect.stringContaining('another one has it already'),
    );
  });

  it('are encoded once for all who are given the same update, and equal for equal content', async () => {
    const entries = [await entry('/a')];
    const update = await updateOf({ entries, bundles: [ours.bundle(), theirs.bundle()] });
    expect(responses.svids(update)).toBe(responses.svids(update));
    const same = await updateOf({ entries, bundles: [theirs.bundle(), ours.bundle()] });
    expect(responses.svids(same)).not.toBe(responses.svids(update));
    expect(responses.svids(same)).toEqual(responses.svids(update));
    expect(responses.bundles(same)).toEqual(responses.bundles(update));
  });

  it('are refused without the bundle of our own trust domain', async () => {
    const update = await updateOf({ entries: [await entry('/a')], bundles: [theirs.bundle()] });
    expect(() => responses.svids(update)).toThrow('the bundle of example.org has not arrived yet');
    expect(() => responses.bundles(update)).toThrow('the bundle of example.org has not arrived yet');
  });
});
