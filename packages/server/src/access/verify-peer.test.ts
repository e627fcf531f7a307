import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { beforeAll, describe, expect, it } from 'vitest';
import { verifyPeer, type PeerVerification } from './verify-peer.js';

const now = new Date();
const foreignAdmin = parseSpiffeId('spiffe://other.test/admin');
let own: TestAuthority;
let other: TestAuthority;

beforeAll(async () => {
  [own, other] = await Promise.all([TestAuthority.create('example.org'), TestAuthority.create('other.test')]);
});

function verification(adminIds: readonly SpiffeId[] = []): PeerVerification {
  return {
    trustDomain: parseTrustDomain('example.org'),
    mayBeAdmin: (id) => adminIds.includes(id),
    bundle: (trustDomain) =>
      [own, other].find((authority) => authority.trustDomain === trustDomain)?.bundle(),
  };
}

describe('verifyPeer', () => {
  it('names the holder of a chain that leads to our bundle, through intermediates too', async () => {
    const direct = await own.issueX509Svid('/web');
    expect(verifyPeer(direct.certificateChain, now, verification()).spiffeId).toBe(
      'spiffe://example.org/web',
    );
    const intermediate = await own.createIntermediate();
    const below = await intermediate.issueX509Svid('/web');
    expect(below.certificateChain).toHaveLength(2);
    expect(verifyPeer(below.certificateChain, now, verification()).spiffeId).toBe('spiffe://example.org/web');
  });

  it('refuses a chain that leads elsewhere, whatever name it carries (invariant 3)', async () => {
    const stranger = await TestAuthority.create('example.org');
    const { certificateChain } = await stranger.issueX509Svid('/spire/agent/join_token/x');
    expect(() => verifyPeer(certificateChain, now, verification())).toThrow('not signed by an authority');
    const across = await other.issueX509Svid('spiffe://example.org/web');
    expect(() => verifyPeer(across.certificateChain, now, verification())).toThrow();
  });

  it('refuses one that has expired or is not valid yet', async () => {
    const { certificateChain, notAfter, notBefore } = await own.issueX509Svid('/web');
    for (const at of [new Date(notAfter.getTime() + 2000), new Date(notBefore.getTime() - 2000)]) {
      expect(() => verifyPeer(certificateChain, at, verification())).toThrow();
    }
  });

  it('listens to another trust domain only when the ID is an admin of ours', async () => {
    const { certificateChain } = await other.issueX509Svid('/admin');
    expect(() => verifyPeer(certificateChain, now, verification())).toThrow('one of admin_ids');
    expect(verifyPeer(certificateChain, now, verification([foreignAdmin])).spiffeId).toBe(foreignAdmin);
    const colleague = await other.issueX509Svid('/colleague');
    expect(() => verifyPeer(colleague.certificateChain, now, verification([foreignAdmin]))).toThrow();
    const impostor = await own.issueX509Svid(foreignAdmin);
    expect(() => verifyPeer(impostor.certificateChain, now, verification([foreignAdmin]))).toThrow();
  });

  it('refuses an admin of a trust domain whose bundle is not held, and a chain of nothing', async () => {
    const { certificateChain } = await other.issueX509Svid('/admin');
    const withoutBundles = { ...verification([foreignAdmin]), bundle: () => undefined };
    expect(() => verifyPeer(certificateChain, now, withoutBundles)).toThrow(
      'no bundle of trust domain other.test',
    );
    expect(() => verifyPeer([], now, verification())).toThrow('empty');
  });
});
