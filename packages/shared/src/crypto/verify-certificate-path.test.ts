import { randomBytes, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty, type TestParty, type TestPartyWish } from '@bonafide/testing/test-party';
import { describe, expect, it } from 'vitest';
import { DER_TAG } from './der/der-tag.js';
import {
  derBitString,
  derElement,
  derObjectIdentifier,
  derSequence,
  derUnsignedInteger,
} from './der/der-writer.js';
import { encodeOid, objectIdentifierHex, OID } from './der/object-identifier.js';
import { encodeX509Extension } from './der/x509-extension.js';
import { decodePem, encodePem } from './pem.js';
import { encodeCertificate, encodeTbsCertificate } from './sign-certificate.js';
import { verifyCertificatePath, type CertificatePathEvidence } from './verify-certificate-path.js';

const EK_PURPOSE = '2.23.133.8.1';
const UNKNOWN_EXTENSION = '1.3.6.1.4.1.99999.1';
const now = new Date();
const hour = 3_600_000;
const hoursFromNow = (hours: number): Date => new Date(now.getTime() + hours * hour);
const [past, longPast, future, farFuture] = [
  hoursFromNow(-1),
  hoursFromNow(-2),
  hoursFromNow(1),
  hoursFromNow(2),
] as const;

const root = await createTestParty({ name: 'root', isCa: true });
const upper = await createTestParty({ name: 'upper', isCa: true, issuer: root });
const lower = await createTestParty({ name: 'lower', isCa: true, issuer: upper });
const leaf = await createTestParty({ name: 'leaf', issuer: lower });

interface Case {
  readonly leaf: TestParty;
  readonly intermediates?: readonly TestParty[];
  readonly roots?: readonly TestParty[];
}

function verify(
  { leaf, intermediates = [lower, upper], roots = [root] }: Case,
  more: Partial<CertificatePathEvidence> = {},
) {
  return verifyCertificatePath({
    leaf: leaf.certificate,
    intermediates: intermediates.map(({ certificate }) => certificate),
    roots: roots.map(({ certificate }) => certificate),
    now,
    ...more,
  });
}

/** What `openssl verify` says of the same. */
async function opensslAccepts({
  leaf,
  intermediates = [lower, upper],
  roots = [root],
}: Case): Promise<boolean> {
  using directory = createTemporaryDirectory();
  const pem = (parties: readonly TestParty[]): string =>
    parties.map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join('');
  await Promise.all([
    writeFile(directory.join('leaf'), pem([leaf])),
    writeFile(directory.join('untrusted'), pem(intermediates)),
    writeFile(directory.join('roots'), pem(roots)),
  ]);
  const untrusted = intermediates.length === 0 ? [] : ['-untrusted', directory.join('untrusted')];
  const args = [
    'verify',
    '-no-CApath',
    '-CAfile',
    directory.join('roots'),
    ...untrusted,
    directory.join('leaf'),
  ];
  const { code } = await runProcess('openssl', args, { limitMs: 120_000 });
  return code === 0;
}

/** A chain of three certificates below a root, in which one is made with a wish more. */
async function chainWith(
  place: 'leaf' | 'lower' | 'upper' | 'root',
  wish: Partial<TestPartyWish>,
): Promise<Case> {
  const at = (name: string): Partial<TestPartyWish> => (name === place ? wish : {});
  const top = await createTestParty({ name: 'root', isCa: true, ...at('root') });
  const second = await createTestParty({ name: 'upper', isCa: true, issuer: top, ...at('upper') });
  const third = await createTestParty({ name: 'lower', isCa: true, issuer: second, ...at('lower') });
  const last = await createTestParty({ name: 'leaf', issuer: third, ...at('leaf') });
  return { leaf: last, intermediates: [third, second], roots: [top] };
}

const unknownCritical = [encodeX509Extension(objectIdentifierHex(UNKNOWN_EXTENSION), true, derSequence())];
const everywhere = ['leaf', 'lower', 'upper', 'root'] as const;
const signers = ['lower', 'upper', 'root'] as const;

describe('verifyCertificatePath accepts, as openssl does,', () => {
  it('a chain through intermediates, whatever their order and whoever else is there', async () => {
    const stranger = await createTestParty({ name: 'stranger', isCa: true });
    const found = { leaf, intermediates: [stranger, upper, lower], roots: [stranger, root] };
    expect(verify(found).path.map(({ der }) => der)).toEqual(
      [leaf, lower, upper, root].map(({ certificate }) => certificate),
    );
    expect(await opensslAccepts(found)).toBe(true);
  });

  it('a leaf right below its root, and an anchor that is not self-signed', async () => {
    const direct = { leaf: await createTestParty({ name: 'leaf', issuer: root }), intermediates: [] };
    expect(verify(direct).path).toHaveLength(2);
    expect(await opensslAccepts(direct)).toBe(true);
    expect(verify({ leaf, intermediates: [lower], roots: [upper] }).path).toHaveLength(3);
  });

  it.each(['rsa-2048', 'ec-p384'] as const)('signatures of %s', async (keyType) => {
    const found = await chainWith('upper', { keyType });
    expect(verify(found).path).toHaveLength(4);
    expect(await opensslAccepts(found)).toBe(true);
  });

  it('a path as long as is allowed', async () => {
    const found = await chainWith('upper', { pathLength: 1 });
    expect(verify(found).path).toHaveLength(4);
    expect(await opensslAccepts(found)).toBe(true);
  });

  it('an intermediate that comes twice, once with an old certificate', async () => {
    const old = await createTestParty({
      name: 'upper',
      isCa: true,
      issuer: root,
      privateKey: upper.privateKey,
      notBefore: longPast,
      notAfter: past,
    });
    expect(verify({ leaf, intermediates: [old, lower, upper] }).path).toHaveLength(4);
  });
});

describe('verifyCertificatePath refuses, as openssl does,', () => {
  it.each(signers)('a certificate without CA:TRUE as %s', async (place) => {
    const found = await chainWith(place, { isCa: false, keyUsages: ['keyCertSign'] });
    expect(() => verify(found)).toThrow('is not a signing certificate');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(signers)('a certificate without keyCertSign as %s', async (place) => {
    const found = await chainWith(place, { keyUsages: ['digitalSignature'] });
    expect(() => verify(found)).toThrow('lacks the key usage keyCertSign');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(everywhere)('one that has expired as %s', async (place) => {
    const found = await chainWith(place, { notBefore: longPast, notAfter: past });
    expect(() => verify(found)).toThrow('expired at');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(everywhere)('one that is not valid yet as %s', async (place) => {
    const found = await chainWith(place, { notBefore: future, notAfter: farFuture });
    expect(() => verify(found)).toThrow('is not valid before');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(everywhere)('an unknown critical extension of %s', async (place) => {
    const found = await chainWith(place, { more: unknownCritical });
    expect(() => verify(found)).toThrow('a critical extension that is not understood');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each([
    ['upper', 0, 'an intermediate certificate allows 0 intermediates below it, not 1'],
    ['root', 1, 'the authority allows 1 intermediates below it, not 2'],
    ['root', 0, 'the authority allows 0 intermediates below it, not 2'],
  ] as const)('a path longer than %s allows', async (place, pathLength, message) => {
    const found = await chainWith(place, { pathLength });
    expect(() => verify(found)).toThrow(message);
    expect(await opensslAccepts(found)).toBe(false);
  });

  it('an issuer of another name with the right key', async () => {
    const renamed = await createTestParty({ name: 'other', isCa: true, privateKey: root.privateKey });
    const found = { leaf, roots: [renamed] };
    expect(() => verify(found)).toThrow('does not lead to any of the trusted authorities');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each([true, false])(
    'an issuer of the right name with another key, key identifiers left out: %s',
    async (withoutKeyIds) => {
      const child = await createTestParty({ name: 'leaf', issuer: root, withoutKeyIds });
      const impostor = await createTestParty({ name: 'root', isCa: true, withoutKeyIds });
      const found = { leaf: child, intermediates: [], roots: [impostor] };
      expect(() => verify(found)).toThrow(
        withoutKeyIds ? 'the signature of the authority' : 'does not lead to',
      );
      expect(await opensslAccepts(found)).toBe(false);
    },
  );

  it('a leaf that vouches for itself, and one that is the anchor', async () => {
    const selfMade = await createTestParty({ name: 'leaf' });
    for (const found of [
      { leaf: selfMade, intermediates: [selfMade] },
      { leaf: selfMade, intermediates: [selfMade], roots: [selfMade] },
    ]) {
      expect(() => verify(found)).toThrow();
    }
    expect(await opensslAccepts({ leaf: selfMade, intermediates: [] })).toBe(false);
  });

  it('a path that is missing a link, and one without any anchor', async () => {
    for (const found of [
      { leaf, intermediates: [lower] },
      { leaf, intermediates: [upper] },
    ]) {
      expect(() => verify(found)).toThrow('does not lead to any');
      expect(await opensslAccepts(found)).toBe(false);
    }
    expect(() => verify({ leaf, roots: [] })).toThrow('does not lead to any');
    expect(() => verify({ leaf, intermediates: [lower, upper, root], roots: [] })).toThrow(
      'does not lead to any',
    );
  });
});

describe('verifyCertificatePath refuses', () => {
  it('signatures over SHA-1', () => {
    const algorithm = derSequence(encodeOid(objectIdentifierHex('1.2.840.10045.4.1')));
    const fields = {
      serialNumber: Buffer.from([1]),
      algorithm: { name: 'ecdsa-with-sha1', keyKind: 'ec', hash: 'sha256', identifier: algorithm },
      issuer: root.subject,
      subject: leaf.subject,
      spki: leaf.privateKey.asymmetricKeyType === 'ec' ? spkiOf(leaf) : Buffer.alloc(0),
      notBefore: past,
      notAfter: future,
      extensions: [encodeX509Extension(OID.basicConstraints, true, derSequence())],
    } as const;
    const tbs = encodeTbsCertificate(fields);
    const weak = encodeCertificate(tbs, fields.algorithm, sign('sha1', tbs, root.privateKey));
    expect(() => verify({ leaf: { ...leaf, certificate: weak } })).toThrow('unsupported signature algorithm');
  });

  it.each(['leaf', 'lower', 'root'] as const)(
    'an RSA key of 16,384 bits as %s, before any arithmetic',
    async (place) => {
      const found = await chainWith(place, { spki: hugeRsaKey() });
      expect(() => verify(found)).toThrow(
        place === 'root' ? 'does not lead to any' : 'RSA key of 16384 bits',
      );
    },
  );

  it('authorities that vouch for each other in a circle', async () => {
    const [a, b] = [
      await createTestParty({ name: 'a', isCa: true }),
      await createTestParty({ name: 'b', isCa: true }),
    ];
    const aByB = await createTestParty({ name: 'a', isCa: true, issuer: b, privateKey: a.privateKey });
    const bByA = await createTestParty({ name: 'b', isCa: true, issuer: a, privateKey: b.privateKey });
    const child = await createTestParty({ name: 'leaf', issuer: aByB });
    const found = { leaf: child, intermediates: [aByB, bByA, a, b] };
    expect(() => verify(found)).toThrow('does not lead to any');
    expect(verify({ ...found, roots: [b] }).path).toHaveLength(3);
  });

  it('a hundred look-alikes, after a bounded number of signatures', async () => {
    const lookAlike = { name: 'upper', isCa: true, withoutKeyIds: true } as const;
    const child = await createTestParty({ name: 'leaf', issuer: { ...upper }, withoutKeyIds: true });
    const many = await Promise.all(Array.from({ length: 100 }, () => createTestParty(lookAlike)));
    expect(() => verify({ leaf: child, intermediates: many })).toThrow(
      '100 intermediate certificates; accepted are 9',
    );
    // The one that is right comes after as many wrong ones as are looked at.
    const found = { leaf: child, intermediates: [...many, upper] };
    expect(() => verify(found, { maximumIntermediates: 101 })).toThrow(
      'the signature of an intermediate certificate',
    );
    expect(
      verify({ leaf: child, intermediates: [upper, ...many] }, { maximumIntermediates: 101 }).path,
    ).toHaveLength(3);
  });

  it('a web of look-alikes that all sign each other', async () => {
    const key = upper.privateKey;
    const twins = await Promise.all(
      Array.from({ length: 30 }, () =>
        createTestParty({ name: 'twin', isCa: true, privateKey: key, withoutKeyIds: true }),
      ),
    );
    const child = await createTestParty({ name: 'leaf', issuer: twins[0], withoutKeyIds: true });
    expect(() => verify({ leaf: child, intermediates: twins }, { maximumIntermediates: 30 })).toThrow();
  });

  it('bytes after a certificate, and certificates cut short', () => {
    const longer = { ...leaf, certificate: Buffer.concat([leaf.certificate, Buffer.from([0])]) };
    expect(() => verify({ leaf: longer })).toThrow('trailing bytes');
    const longerIntermediate = {
      ...lower,
      certificate: Buffer.concat([lower.certificate, Buffer.alloc(16)]),
    };
    expect(() => verify({ leaf, intermediates: [longerIntermediate, upper] })).toThrow('trailing bytes');
    for (const length of [0, 1, 4, 100, leaf.certificate.length - 1]) {
      expect(() => verify({ leaf: { ...leaf, certificate: leaf.certificate.subarray(0, length) } })).toThrow(
        /malformed/,
      );
    }
  });

  it('a leaf with any byte changed', () => {
    for (let index = 0; index < leaf.certificate.length; index += 7) {
      const certificate = Buffer.from(leaf.certificate);
      certificate[index] = (certificate[index] ?? 0) ^ 0x01;
      expect(() => verify({ leaf: { ...leaf, certificate } }), `byte ${index}`).toThrow();
    }
  });

  it('name constraints, which it does not evaluate', async () => {
    const constraints = encodeX509Extension(OID.nameConstraints, false, derSequence());
    for (const place of everywhere) {
      const found = await chainWith(place, { more: [constraints] });
      expect(() => verify(found)).toThrow('name constraints');
    }
  });
});

describe('verifyCertificatePath, asked for a purpose,', () => {
  const purpose = objectIdentifierHex(EK_PURPOSE);

  it('wants it of the leaf', async () => {
    const marked = await createTestParty({ name: 'leaf', issuer: lower, extendedKeyUsages: [purpose] });
    const other = await createTestParty({ name: 'leaf', issuer: lower, extendedKeyUsages: [OID.clientAuth] });
    const any = await createTestParty({
      name: 'leaf',
      issuer: lower,
      extendedKeyUsages: [OID.anyExtendedKeyUsage],
    });
    expect(verify({ leaf: marked }, { extendedKeyUsage: EK_PURPOSE }).path).toHaveLength(4);
    for (const without of [leaf, other, any]) {
      expect(() => verify({ leaf: without }, { extendedKeyUsage: EK_PURPOSE })).toThrow(
        'lacks the extended key usage 2.23.133.8.1',
      );
    }
  });

  it('wants intermediates that are limited to be allowed it', async () => {
    const wish = { name: 'leaf', extendedKeyUsages: [purpose] };
    for (const [purposes, isAllowed] of [
      [[OID.serverAuth], false],
      [[purpose, OID.serverAuth], true],
      [[OID.anyExtendedKeyUsage], true],
    ] as const) {
      const found = await chainWith('lower', { extendedKeyUsages: purposes });
      const [issuer] = found.intermediates ?? [];
      const child = { ...found, leaf: await createTestParty({ ...wish, issuer }) };
      const check = (): unknown => verify(child, { extendedKeyUsage: EK_PURPOSE });
      if (isAllowed) expect(check).not.toThrow();
      else expect(check).toThrow('is not allowed the extended key usage');
      expect(verify(child).path).toHaveLength(4);
    }
  });

  it('lets the caller handle critical extensions of the leaf, and only of the leaf', async () => {
    const handledCriticalExtensions = [UNKNOWN_EXTENSION];
    expect(
      verify(await chainWith('leaf', { more: unknownCritical }), { handledCriticalExtensions }).path,
    ).toHaveLength(4);
    const found = await chainWith('lower', { more: unknownCritical });
    expect(() => verify(found, { handledCriticalExtensions })).toThrow('not understood');
  });
});

describe('certificates of TPMs', () => {
  const read = (name: string): Buffer => readFileSync(new URL(`../tpm/fixtures/ek/${name}`, import.meta.url));
  const [issuer = Buffer.alloc(0)] = decodePem('CERTIFICATE', read('issuercert.pem').toString());
  const [ekRoot = Buffer.alloc(0)] = decodePem(
    'CERTIFICATE',
    read('swtpm-localca-rootca-cert.pem').toString(),
  );
  const evidence = {
    intermediates: [issuer],
    roots: [ekRoot],
    now: new Date('2027-01-01'),
    extendedKeyUsage: EK_PURPOSE,
  };

  it.each(['ek-rsa2048.crt', 'ek-p256.crt', 'ek-secp384r1.crt'])('lead to their manufacturer: %s', (name) => {
    const der = read(name);
    const found = verifyCertificatePath({ ...evidence, leaf: der });
    expect(found.path).toHaveLength(3);
    expect(() => verifyCertificatePath({ ...evidence, leaf: der, roots: [root.certificate] })).toThrow(
      'does not lead',
    );
    expect(() => verifyCertificatePath({ ...evidence, leaf: der, intermediates: [] })).toThrow(
      'does not lead',
    );
    expect(() => verifyCertificatePath({ ...evidence, leaf: der, now: new Date('2026-01-01') })).toThrow(
      'not valid before',
    );
  });

  it('live to the end of time, which is not beyond it', () => {
    const { leaf } = verifyCertificatePath({
      ...evidence,
      leaf: read('ek-rsa2048.crt'),
      now: new Date('9999-12-31T23:59:58Z'),
    });
    expect(leaf.notAfter.toISOString()).toBe('9999-12-31T23:59:59.000Z');
  });

  it('with an empty subject', () => {
    const { leaf } = verifyCertificatePath({ ...evidence, leaf: read('ek-p256.crt') });
    expect(leaf.subject).toEqual(derSequence());
  });
});

function spkiOf({ privateKey }: TestParty): Buffer {
  const { x = '', y = '' } = privateKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return derSequence(derSequence(encodeOid(OID.ecPublicKey), encodeOid(OID.p256)), derBitString(point));
}

/** Not a product of primes, which nobody should find out. */
function hugeRsaKey(): Buffer {
  const modulus = randomBytes(2048);
  modulus[0] = 0xff;
  modulus[2047] = (modulus[2047] ?? 0) | 1;
  const key = derSequence(derUnsignedInteger(modulus), derUnsignedInteger(Buffer.from([1, 0, 1])));
  return derSequence(
    derSequence(derObjectIdentifier('1.2.840.113549.1.1.1'), derElement(DER_TAG.null)),
    derBitString(key),
  );
}
