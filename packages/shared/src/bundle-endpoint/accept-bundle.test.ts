import { generatePrivateKey } from '../crypto/generate-key.js';
import { exportSpki } from '../crypto/private-key-encoding.js';
import type { TokenAuthority, TrustBundle } from '../bundle/trust-bundle.js';
import { createPublicKey } from 'node:crypto';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { beforeAll, describe, expect, it } from 'vitest';
import { judgeBundle } from './accept-bundle.js';

let first: TestAuthority;
let second: TestAuthority;
let jwtKey: TokenAuthority;
let held: TrustBundle;

beforeAll(async () => {
  first = await TestAuthority.create('other.test');
  second = await TestAuthority.create('other.test');
  const publicKey = exportSpki(createPublicKey(await generatePrivateKey('ec-p256')));
  jwtKey = { publicKey, keyId: 'a', expiresAt: undefined, isTainted: false };
  held = { ...first.bundle(), jwtAuthorities: [jwtKey], sequenceNumber: 5, refreshHintSeconds: 300 };
});

const NOTHING = { x509Authorities: [], jwtAuthorities: [], witAuthorities: [] };
const rotated = (): TrustBundle => ({ ...held, x509Authorities: first.bundle(second).x509Authorities });

describe('a served bundle', () => {
  it('changes nothing when it is the one that is held', () => {
    expect(judgeBundle(held, { ...held })).toEqual({ kind: 'unchanged' });
  });

  it.each<[string, () => TrustBundle, string | undefined]>([
    ['of a later number', () => ({ ...rotated(), sequenceNumber: 6 }), undefined],
    ['without a number', () => ({ ...rotated(), sequenceNumber: 0 }), undefined],
    ['of the same number, with other keys', rotated, 'same_sequence_number'],
    [
      'that revokes a key',
      () => ({ ...held, x509Authorities: second.bundle().x509Authorities, sequenceNumber: 6 }),
      undefined,
    ],
    [
      'that revokes all keys of a kind, of a later number',
      () => ({ ...held, jwtAuthorities: [], sequenceNumber: 6 }),
      undefined,
    ],
    [
      // Trust Domain and Bundle section 4.1.3
      'that revokes everything, of a later number',
      () => ({ ...held, ...NOTHING, sequenceNumber: 6 }),
      'revokes_everything',
    ],
    ['with another refresh hint', () => ({ ...held, refreshHintSeconds: 60 }), 'same_sequence_number'],
  ])('replaces it when it is one %s', (_name, served, remark) => {
    expect(judgeBundle(held, served())).toEqual({ kind: 'replaces', remark });
  });

  it('is taken when none is held', () => {
    expect(judgeBundle(undefined, held)).toEqual({ kind: 'replaces', remark: undefined });
  });

  it.each<[string, () => TrustBundle, RegExp]>([
    ['an earlier number', () => ({ ...rotated(), sequenceNumber: 4 }), /went back from 5 to 4/],
    [
      'no keys and no number',
      () => ({ ...held, ...NOTHING, sequenceNumber: 0 }),
      /no X\.509 authorities left/,
    ],
    ['no keys and the same number', () => ({ ...held, ...NOTHING }), /no X\.509 authorities left/],
    [
      'no X.509 keys and the same number',
      () => ({ ...held, x509Authorities: [] }),
      /no X\.509 authorities left/,
    ],
    ['no JWT keys and the same number', () => ({ ...held, jwtAuthorities: [] }), /no JWT authorities left/],
    [
      'more keys than anyone can carry',
      () => ({
        ...held,
        sequenceNumber: 6,
        jwtAuthorities: Array.from({ length: 257 }, (_, index) => ({ ...jwtKey, keyId: String(index) })),
      }),
      /257 JWT authorities; at most 256/,
    ],
    [
      'a certificate that is none',
      () => ({ ...held, x509Authorities: [{ certificate: Buffer.from([0]), isTainted: false }] }),
      /X\.509 authority 0/,
    ],
  ])('is refused with %s', (_name, served, message) => {
    expect(() => judgeBundle(held, served())).toThrow(message);
  });

  it('is refused without a key when none is held', () => {
    expect(() => judgeBundle(undefined, { ...held, ...NOTHING })).toThrow(/no key at all/);
  });

  it('is refused when a leaf stands in for an authority', async () => {
    const leaf = await first.issueX509Svid('/web');
    const [certificate = Buffer.alloc(0)] = leaf.certificateChain;
    const served = { ...held, x509Authorities: [{ certificate, isTainted: false }], sequenceNumber: 6 };
    expect(() => judgeBundle(held, served)).toThrow(/not a signing certificate/);
  });
});
