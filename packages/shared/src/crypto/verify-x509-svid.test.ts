import { createPrivateKey, type KeyObject } from 'node:crypto';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { describe, expect, it } from 'vitest';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import { MAX_CHAIN_LENGTH } from './certificate-path.js';
import { encodeDistinguishedName } from './der/distinguished-name.js';
import { OID } from './der/object-identifier.js';
import { exportSpki } from './private-key-encoding.js';
import { generateSerialNumber, signCertificate } from './sign-certificate.js';
import { createKeySigner } from './signer.js';
import { parseSubjectPublicKey, subjectKeyIdentifier } from './subject-public-key.js';
import { parseX509SvidLeaf, verifyX509Svid } from './verify-x509-svid.js';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeExtendedKeyUsages,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
  encodeX509Extension,
  type KeyUsage,
} from './der/x509-extension.js';

const now = new Date('2030-06-01T00:00:00Z');
const before = new Date('2030-05-31T00:00:00Z');
const after = new Date('2030-06-02T00:00:00Z');

interface Party {
  readonly name: string;
  readonly privateKey: KeyObject;
  readonly certificate: Buffer;
}

interface Wish {
  readonly name: string;
  readonly issuer?: Party | undefined;
  readonly isCa?: boolean;
  readonly pathLength?: number;
  readonly keyUsages?: readonly KeyUsage[] | undefined;
  readonly uriNames?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly more?: readonly Buffer[];
  readonly privateKey?: KeyObject;
  readonly withoutKeyIds?: boolean;
}

function keyId(key: KeyObject): Buffer {
  return subjectKeyIdentifier(parseSubjectPublicKey(exportSpki(key), 'key').keyBits);
}

async function make(wish: Wish): Promise<Party> {
  const {
    name,
    issuer,
    isCa = false,
    pathLength,
    notBefore = before,
    notAfter = after,
    more = [],
    uriNames = [],
  } = wish;
  const privateKey = wish.privateKey ?? makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey;
  const { keyUsages = isCa ? (['keyCertSign'] as const) : (['digitalSignature'] as const) } = wish;
  const signingKey = issuer?.privateKey ?? privateKey;
  const certificate = await signCertificate(
    {
      serialNumber: generateSerialNumber(),
      issuer: encodeDistinguishedName({ commonName: issuer?.name ?? name }),
      subject: encodeDistinguishedName({ commonName: name }),
      spki: exportSpki(privateKey),
      notBefore,
      notAfter,
      extensions: [
        ...(keyUsages.length > 0 ? [encodeKeyUsages(keyUsages)] : []),
        encodeBasicConstraints({ isCa, pathLength }),
        ...(wish.withoutKeyIds === true
          ? []
          : [encodeSubjectKeyIdentifier(keyId(privateKey)), encodeAuthorityKeyIdentifier(keyId(signingKey))]),
        ...(uriNames.length > 0
          ? [encodeSubjectAlternativeNameExtension({ uriNames, dnsNames: [] }, false)]
          : []),
        ...more,
      ],
    },
    createKeySigner(signingKey),
  );
  return { name, privateKey, certificate };
}

const root = await make({ name: 'root', isCa: true, uriNames: ['spiffe://example.org'] });
const intermediate = await make({
  name: 'intermediate',
  isCa: true,
  issuer: root,
  uriNames: ['spiffe://example.org'],
});
const leaf = await make({ name: 'leaf', issuer: root, uriNames: ['spiffe://example.org/web'] });
const deepLeaf = await make({ name: 'leaf', issuer: intermediate, uriNames: ['spiffe://example.org/web'] });
const svid = { issuer: root, uriNames: ['spiffe://example.org/web'] };

function verify(chain: readonly Party[], authorities: readonly Party[] = [root], at: Date = now): string {
  return verifyX509Svid({
    chain: chain.map(({ certificate }) => certificate),
    authorities: authorities.map(({ certificate }) => certificate),
    now: at,
  }).spiffeId;
}

describe('verifyX509Svid accepts', () => {
  it('a leaf signed by an authority', () => {
    expect(verify([leaf])).toBe('spiffe://example.org/web');
  });

  it('a chain through an intermediate, with others around it in any order', async () => {
    const stranger = await make({ name: 'stranger', isCa: true });
    expect(verify([deepLeaf, stranger, intermediate], [stranger, root])).toBe('spiffe://example.org/web');
  });

  it('an authority that is not self-signed', () => {
    expect(verify([deepLeaf], [intermediate])).toBe('spiffe://example.org/web');
    expect(verify([deepLeaf, intermediate], [intermediate])).toBe('spiffe://example.org/web');
  });

  it('a chain that carries its root as well', () => {
    expect(verify([deepLeaf, intermediate, root])).toBe('spiffe://example.org/web');
  });

  it('two authorities of one name, by the key that signed', async () => {
    const twin = await make({ name: 'root', isCa: true, withoutKeyIds: true });
    const child = await make({ ...svid, name: 'leaf', issuer: twin, withoutKeyIds: true });
    expect(verify([child], [root, twin])).toBe('spiffe://example.org/web');
  });

  it('authorities with one among them that nobody can read', () => {
    const authorities = [Buffer.from('garbage'), root.certificate];
    expect(verifyX509Svid({ chain: [leaf.certificate], authorities, now }).spiffeId).toBe(
      'spiffe://example.org/web',
    );
  });

  it('RSA and P-384 authorities', async () => {
    for (const { privateKey } of [
      makeKeyPair('rsa', { modulusLength: 2048 }),
      makeKeyPair('ec', { namedCurve: 'P-384' }),
    ]) {
      const issuer = await make({ name: 'other root', isCa: true, privateKey });
      expect(verify([await make({ ...svid, name: 'leaf', issuer })], [issuer])).toBe(
        'spiffe://example.org/web',
      );
    }
  });

  it('the first and the last moment of its life', () => {
    expect(verify([leaf], [root], before)).toBeDefined();
    expect(verify([leaf], [root], after)).toBeDefined();
  });
});

describe('verifyX509Svid refuses', () => {
  it('nothing at all, and too much', () => {
    expect(() => verify([])).toThrow('the certificate chain is empty');
    expect(() => verify(Array<Party>(MAX_CHAIN_LENGTH + 1).fill(leaf))).toThrow('longer than');
  });

  it('a leaf signed by another leaf', async () => {
    const child = await make({ ...svid, name: 'child', issuer: leaf });
    expect(() => verify([child, leaf])).toThrow('an intermediate certificate is not a signing certificate');
    expect(() => verify([child], [leaf])).toThrow('the authority is not a signing certificate');
  });

  it('an intermediate with CA:FALSE, even with keyCertSign', async () => {
    const fake = await make({ name: 'fake', issuer: root, keyUsages: ['keyCertSign'] });
    const child = await make({ ...svid, name: 'child', issuer: fake });
    expect(() => verify([child, fake])).toThrow('is not a signing certificate');
  });

  it('an intermediate without keyCertSign', async () => {
    const fake = await make({ name: 'fake', issuer: root, isCa: true, keyUsages: ['cRLSign'] });
    const child = await make({ ...svid, name: 'child', issuer: fake });
    expect(() => verify([child, fake])).toThrow('lacks the key usage keyCertSign');
  });

  it('a path longer than an authority or an intermediate allows', async () => {
    const short = await make({ name: 'short', isCa: true, pathLength: 0 });
    const below = await make({ name: 'below', isCa: true, issuer: short });
    const child = await make({ ...svid, name: 'child', issuer: below });
    expect(() => verify([child, below], [short])).toThrow('allows 0 intermediates below it, not 1');
    expect(verify([await make({ ...svid, name: 'child', issuer: short })], [short])).toBeDefined();
  });

  it.each([
    ['an expired leaf', new Date('2030-06-02T00:00:01Z'), 'expired at 2030-06-02'],
    ['a leaf from the future', new Date('2030-05-30T00:00:00Z'), 'not valid before 2030-05-31'],
  ])('%s', (_name, at, problem) => {
    expect(() => verify([leaf], [root], at)).toThrow(problem);
  });

  it('an expired authority or intermediate under a leaf that is not', async () => {
    const expired = await make({ name: 'expired', isCa: true, notAfter: new Date('2030-05-31T12:00:00Z') });
    const child = await make({ ...svid, name: 'child', issuer: expired });
    expect(() => verify([child], [expired])).toThrow('the authority expired at');
    const between = await make({
      name: 'between',
      isCa: true,
      issuer: root,
      notAfter: new Date('2030-05-31T12:00:00Z'),
    });
    const grandchild = await make({ ...svid, name: 'child', issuer: between });
    expect(() => verify([grandchild, between])).toThrow('an intermediate certificate expired at');
  });

  it('a signature by nobody we know', async () => {
    const other = await make({ name: 'other', isCa: true });
    expect(() => verify([leaf], [other])).toThrow('not signed by an authority of its trust domain');
    expect(() => verify([leaf], [])).toThrow('not signed by an authority of its trust domain');
  });

  it('a forged signature under the name of an authority', async () => {
    const forger = await make({ name: 'root', isCa: true, withoutKeyIds: true });
    const child = await make({ ...svid, name: 'leaf', issuer: forger, withoutKeyIds: true });
    expect(() => verify([child])).toThrow(
      'the signature of the authority over the certificate below it is wrong',
    );
    expect(() => verify([child, forger])).toThrow();
  });

  it('a leaf of another trust domain than the one expected', () => {
    const trustDomain = parseTrustDomain('other.org');
    const evidence = { chain: [leaf.certificate], authorities: [root.certificate], now };
    expect(() => verifyX509Svid({ ...evidence, trustDomain })).toThrow(
      'is for trust domain example.org, not other.org',
    );
  });

  it('a leaf whose intermediate is of another trust domain', async () => {
    const foreign = await make({
      name: 'foreign',
      isCa: true,
      issuer: root,
      uriNames: ['spiffe://other.org'],
    });
    const child = await make({ ...svid, name: 'child', issuer: foreign });
    expect(() => verify([child, foreign])).toThrow('is of trust domain other.org, not example.org');
  });

  it('an intermediate whose SPIFFE ID has a path', async () => {
    const odd = await make({ name: 'odd', isCa: true, issuer: root, uriNames: ['spiffe://example.org/ca'] });
    const child = await make({ ...svid, name: 'child', issuer: odd });
    expect(() => verify([child, odd])).toThrow('has a SPIFFE ID with a path');
  });

  it.each([
    ['no URI name', { uriNames: [] }, 'has no URI name'],
    [
      'two URI names',
      { uriNames: ['spiffe://example.org/a', 'spiffe://example.org/b'] },
      'more than one URI name',
    ],
    [
      'the same URI name twice',
      { uriNames: ['spiffe://example.org/a', 'spiffe://example.org/a'] },
      'more than one URI name',
    ],
    [
      'a SPIFFE ID and a web address',
      { uriNames: ['spiffe://example.org/a', 'https://example.org'] },
      'more than one URI name',
    ],
    ['a web address', { uriNames: ['https://example.org/a'] }, 'not a SPIFFE ID'],
    ['a SPIFFE ID in capitals', { uriNames: ['SPIFFE://example.org/a'] }, 'not a SPIFFE ID'],
    ['a malformed SPIFFE ID', { uriNames: ['spiffe://example.org/a/../b'] }, "'..' segment"],
    ['a SPIFFE ID without a path', { uriNames: ['spiffe://example.org'] }, 'has no path'],
    ['CA:TRUE', { isCa: true, keyUsages: ['digitalSignature'] }, 'is a signing certificate'],
    ['no key usage', { keyUsages: [] }, 'lacks the key usage digitalSignature'],
    [
      'key usage without digitalSignature',
      { keyUsages: ['keyAgreement'] },
      'lacks the key usage digitalSignature',
    ],
    ['keyCertSign', { keyUsages: ['digitalSignature', 'keyCertSign'] }, 'keyCertSign or cRLSign'],
    ['cRLSign', { keyUsages: ['digitalSignature', 'cRLSign'] }, 'keyCertSign or cRLSign'],
    [
      'a key usage that is not critical',
      {
        keyUsages: [],
        more: [encodeX509Extension(OID.keyUsage, false, Buffer.from('03020780', 'hex'))],
      },
      'is not critical',
    ],
    [
      'an extended key usage for servers alone',
      { more: [encodeExtendedKeyUsages([OID.serverAuth])] },
      'lacks serverAuth or clientAuth',
    ],
    [
      'an extended key usage for clients alone',
      { more: [encodeExtendedKeyUsages([OID.clientAuth])] },
      'lacks serverAuth or clientAuth',
    ],
    [
      'an unknown critical extension',
      { more: [encodeX509Extension('2a0304', true, Buffer.from('0500', 'hex'))] },
      'not understood',
    ],
  ] satisfies [string, Partial<Wish>, string][])('a leaf with %s', async (_name, wish, problem) => {
    const { certificate } = await make({ ...svid, name: 'leaf', ...wish });
    expect(() => parseX509SvidLeaf(certificate)).toThrow(problem);
    expect(() => verifyX509Svid({ chain: [certificate], authorities: [root.certificate], now })).toThrow(
      problem,
    );
  });

  it('an unknown critical extension or name constraints in an intermediate', async () => {
    for (const [type, isCritical, problem] of [
      ['2a0304', true, 'not understood'],
      [OID.nameConstraints, false, 'name constraints'],
    ] as const) {
      const more = [encodeX509Extension(type, isCritical, Buffer.from('3000', 'hex'))];
      const odd = await make({ name: 'odd', isCa: true, issuer: root, more });
      const child = await make({ ...svid, name: 'child', issuer: odd });
      expect(() => verify([child, odd])).toThrow(problem);
    }
  });

  it('bytes after any certificate of the chain', () => {
    const tail = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.from([0])]);
    const authorities = [root.certificate];
    expect(() => verifyX509Svid({ chain: [tail(leaf.certificate)], authorities, now })).toThrow(
      'trailing bytes',
    );
    const chain = [deepLeaf.certificate, tail(intermediate.certificate)];
    expect(() => verifyX509Svid({ chain, authorities, now })).toThrow('trailing bytes');
  });

  it('a leaf with any bit of its signed part changed', () => {
    const authorities = [root.certificate];
    for (let index = 0; index < leaf.certificate.length; index += 1) {
      const mutated = Buffer.from(leaf.certificate);
      mutated[index] = (mutated[index] ?? 0) ^ (1 << (index % 8));
      expect(() => verifyX509Svid({ chain: [mutated], authorities, now })).toThrow();
    }
  });

  it('a maze of look-alikes within a bounded number of signature checks', async () => {
    const key = makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey;
    const mirror = await make({ name: 'mirror', isCa: true, privateKey: key, withoutKeyIds: true });
    const maze = [mirror];
    for (let index = 1; index < MAX_CHAIN_LENGTH - 1; index += 1) {
      maze.push(
        await make({ name: 'mirror', isCa: true, privateKey: key, issuer: mirror, withoutKeyIds: true }),
      );
    }
    const child = await make({ ...svid, name: 'child', issuer: mirror, withoutKeyIds: true });
    const before = process.cpuUsage(); // not the time: the machine may have other work
    expect(() => verify([child, ...maze])).toThrow();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(2000);
  });
});

it('refuses a leaf whose private key is an authority key of another kind', async () => {
  const { privateKey } = makeKeyPair('rsa', { modulusLength: 2048 });
  const issuer = await make({
    name: 'rsa root',
    isCa: true,
    privateKey: createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })),
  });
  const impostor: Party = {
    ...issuer,
    privateKey: makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey,
  };
  const child = await make({ ...svid, name: 'child', issuer: impostor, withoutKeyIds: true });
  expect(() => verify([child], [issuer])).toThrow(
    'the signature of the authority over the certificate below it is wrong',
  );
});
