import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { contextTag, DER_TAG } from '@bonafide/shared/crypto/der/der-tag';
import { derElement, derSequence } from '@bonafide/shared/crypto/der/der-writer';
import { encodeOid, objectIdentifierHex, OID } from '@bonafide/shared/crypto/der/object-identifier';
import { encodeX509Extension } from '@bonafide/shared/crypto/der/x509-extension';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { EK_TEMPLATE } from '@bonafide/shared/tpm/key-template';
import { TPM_ALG } from '@bonafide/shared/tpm/algorithm';
import { attributeBits } from '@bonafide/shared/tpm/object-attribute';
import { TpmWriter } from '@bonafide/shared/tpm/tpm-writer';
import type { TpmOffer } from '@bonafide/shared/tpm/proof/tpm-evidence';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty, type TestParty, type TestPartyWish } from '@bonafide/testing/test-party';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../store/open-store.js';
import { EkTrust } from './ek-trust.js';
import { tpmConfigSchema } from './tpm-config.js';

const EK_USAGE = objectIdentifierHex('2.23.133.8.1');
const HOUR_MS = 3_600_000;
const directory = createTemporaryDirectory();
const store = await openStore({ path: directory.join('store.sqlite3'), log: silentLogger });
const clock = new FakeClock(new Date());

afterAll(async () => {
  await store.close();
  directory.remove();
});

const rsaKey = (bits: number): KeyObject => makeKeyPair('rsa', { modulusLength: bits }).privateKey;

/** TPMT_PUBLIC of an RSA key as a TPM's maker made it. */
function ekPublic(key: KeyObject): Buffer {
  const { n = '' } = key.export({ format: 'jwk' });
  const modulus = Buffer.from(n, 'base64url');
  const { attributes, authPolicy } = EK_TEMPLATE.lowRsa2048;
  return new TpmWriter()
    .uint16(TPM_ALG.rsa)
    .uint16(TPM_ALG.sha256)
    .uint32(attributeBits(attributes))
    .sized(authPolicy)
    .uint16(TPM_ALG.aes)
    .uint16(128)
    .uint16(TPM_ALG.cfb)
    .uint16(TPM_ALG.null)
    .uint16(modulus.length * 8)
    .uint32(0)
    .sized(modulus)
    .build();
}

/** A subject alternative name with `tpmManufacturer`, as makers write it. */
function manufacturer(text: string, tag: number = DER_TAG.utf8String): Buffer {
  const attribute = derSequence(
    encodeOid(objectIdentifierHex('2.23.133.2.1')),
    derElement(tag, Buffer.from(text)),
  );
  const name = derElement(contextTag(4), derSequence(derElement(DER_TAG.set, attribute)));
  return encodeX509Extension(OID.subjectAlternativeName, true, derSequence(name));
}

const key = rsaKey(2048);
const hashOf = (ek: KeyObject): string => ekHash(createPublicKey(ek));
const hash = hashOf(key);
const root = await createTestParty({ name: 'maker', isCa: true });
const middle = await createTestParty({ name: 'factory', isCa: true, issuer: root });

const ekParty = (wish: Partial<TestPartyWish> = {}): Promise<TestParty> =>
  createTestParty({
    ...{ name: 'EK', issuer: middle, privateKey: key, keyUsages: ['keyEncipherment'] },
    extendedKeyUsages: [EK_USAGE],
    ...wish,
  });

function trustIn(config: object, roots: readonly TestParty[] = [root]): Promise<EkTrust> {
  const path = directory.join('roots.pem');
  writeFileSync(path, roots.map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join(''));
  return EkTrust.open(tpmConfigSchema.parse({ ek_roots: [path], ...config }), {
    ...{ store, clock, log: silentLogger },
  });
}

const offer = (leaf: TestParty | undefined, chain: readonly TestParty[] = [middle], ek = key): TpmOffer => ({
  version: 1,
  ...(leaf === undefined ? {} : { ekCertificate: leaf.certificate }),
  ekChain: chain.map(({ certificate }) => certificate),
  ekPublic: ekPublic(ek),
  akPublic: Buffer.alloc(1),
});

const refusal = (message: string): object => ({
  reason: 'permission_denied',
  message: expect.stringContaining(message) as string,
});

describe('an EK certificate', () => {
  it('leads to its root, and names the maker', async () => {
    const leaf = await ekParty({ more: [manufacturer('id:414D4400')] });
    const trusted = await (await trustIn({})).check(offer(leaf), clock.now());
    expect(trusted).toMatchObject({ hash, certified: { manufacturer: 'AMD' } });
    expect(trusted.certified?.authorities).toHaveLength(2);
  });

  it.each<[string, Partial<TestPartyWish>, string]>([
    [
      'without the key usage of the TCG',
      { extendedKeyUsages: [] },
      'lacks the extended key usage 2.23.133.8.1',
    ],
    ['for servers', { extendedKeyUsages: [OID.serverAuth] }, 'lacks the extended key usage'],
    [
      'of an authority',
      { isCa: true, keyUsages: ['keyEncipherment'] },
      'it is the certificate of an authority',
    ],
    ['of a key that signs', { keyUsages: ['digitalSignature'] }, 'for neither encipherment nor agreement'],
    ['that has expired', { notAfter: new Date(Date.now() - HOUR_MS / 2) }, 'expired at'],
    ['that is of tomorrow', { notBefore: new Date(Date.now() + HOUR_MS / 2) }, 'is not valid before'],
    [
      'with a critical extension that nobody knows',
      { more: [encodeX509Extension(objectIdentifierHex('1.3.6.1.4.1.99999.1'), true, derSequence())] },
      'has a critical extension that is not understood',
    ],
    [
      'whose maker is malformed',
      { more: [manufacturerOf(Buffer.from([0x30, 0x05, 0x01]))] },
      'EK certificate',
    ],
  ])('%s is refused', async (_, wish, message) => {
    const trust = await trustIn({});
    await expect(trust.check(offer(await ekParty(wish)), clock.now())).rejects.toMatchObject(
      refusal(message),
    );
  });

  it.each<[string, Partial<TestPartyWish>, string]>([
    ['that is none', { isCa: false, keyUsages: ['keyCertSign'] }, 'is not a signing certificate'],
    [
      'that may not sign certificates',
      { keyUsages: ['digitalSignature'] },
      'lacks the key usage keyCertSign',
    ],
    ['that has expired', { notAfter: new Date(Date.now() - HOUR_MS / 2) }, 'expired at'],
    [
      'with a critical extension that nobody knows',
      { more: [encodeX509Extension(objectIdentifierHex('1.3.6.1.4.1.99999.1'), true, derSequence())] },
      'has a critical extension that is not understood',
    ],
  ])('below an authority %s is refused', async (_, wish, message) => {
    const odd = await createTestParty({ name: 'factory', isCa: true, issuer: root, ...wish });
    const leaf = await ekParty({ issuer: odd });
    await expect((await trustIn({})).check(offer(leaf, [odd]), clock.now())).rejects.toMatchObject(
      refusal(message),
    );
  });

  it('below a longer path than its root allows is refused', async () => {
    const short = await createTestParty({ name: 'maker', isCa: true, pathLength: 0 });
    const below = await createTestParty({ name: 'factory', isCa: true, issuer: short });
    const trust = await trustIn({}, [short]);
    const found = trust.check(offer(await ekParty({ issuer: below }), [below]), clock.now());
    await expect(found).rejects.toMatchObject(refusal('allows 0 intermediates below it'));
  });

  it('that no root vouches for is refused, and so is one whose issuer is not shown', async () => {
    const stranger = await createTestParty({ name: 'maker', isCa: true });
    const trust = await trustIn({});
    await expect(
      trust.check(offer(await ekParty({ issuer: stranger }), [stranger]), clock.now()),
    ).rejects.toMatchObject(refusal('EK certificate refused'));
    await expect(trust.check(offer(await ekParty(), []), clock.now())).rejects.toMatchObject(
      refusal('does not lead to any of the trusted authorities'),
    );
  });

  it('of another key is refused, wherever the hash is listed', async () => {
    await store.write(async ({ tpmEnrollments }) => {
      await tpmEnrollments.create({ ekHash: hash, note: '', enrolledAt: new Date(1) });
    });
    try {
      const leaf = await ekParty({ privateKey: rsaKey(2048) });
      for (const ek_trust of ['either', 'both', 'allow_list']) {
        const trust = await trustIn({ ek_enrollment: true, ek_trust });
        await expect(trust.check(offer(leaf), clock.now())).rejects.toMatchObject(
          refusal('about another key'),
        );
      }
    } finally {
      await store.write(({ tpmEnrollments }) => tpmEnrollments.delete(hash));
    }
  });

  it('with SHA-1 is refused with the way that is left', async () => {
    const [caKey, ca, ekKey, csr, crt, ext] = ['ca.key', 'ca.pem', 'ek.key', 'ek.csr', 'ek.pem', 'ext'].map(
      (name) => directory.join(name),
    ) as [string, string, string, string, string, string];
    writeFileSync(ekKey, key.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(ext, 'extendedKeyUsage=2.23.133.8.1\nkeyUsage=critical,keyEncipherment\n');
    const openssl = async (...args: readonly string[]): Promise<void> => {
      const { code, stderr } = await runProcess('openssl', args, { limitMs: 150_000 });
      if (code !== 0) throw new Error(stderr);
    };
    const named = (name: string): readonly string[] => ['-subj', `/CN=${name}`];
    await openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', caKey, '-out', ca, ...named('ca')],
    );
    await openssl('req', '-new', '-key', ekKey, '-out', csr, ...named('ek'));
    await openssl(
      ...['x509', '-req', '-sha1', '-in', csr, '-CA', ca, '-CAkey', caKey, '-CAcreateserial'],
      ...['-extfile', ext, '-out', crt, '-outform', 'DER'],
    );
    const trust = await EkTrust.open(tpmConfigSchema.parse({ ek_roots: [ca] }), {
      ...{ store, clock, log: silentLogger },
    });
    const shown = { ...offer(undefined, []), ekCertificate: readFileSync(crt) };
    await expect(trust.check(shown, clock.now())).rejects.toMatchObject(
      refusal('signed with SHA-1, which proves nothing; enroll the hash of this TPM'),
    );
  });

  it('of a key that takes long to work with is refused before any work', async () => {
    const huge = new TpmWriter()
      .uint16(TPM_ALG.rsa)
      .uint16(TPM_ALG.sha256)
      .uint32(attributeBits(EK_TEMPLATE.lowRsa2048.attributes))
      .sized(EK_TEMPLATE.lowRsa2048.authPolicy)
      .uint16(TPM_ALG.aes)
      .uint16(128)
      .uint16(TPM_ALG.cfb)
      .uint16(TPM_ALG.null)
      .uint16(16_384)
      .uint32(0)
      .sized(Buffer.alloc(2048, 0xff))
      .build();
    const trust = await trustIn({});
    const shown = { ...offer(await ekParty()), ekPublic: huge };
    await expect(trust.check(shown, clock.now())).rejects.toMatchObject({ reason: 'invalid_argument' });
  });
});

describe('the maker of a TPM', () => {
  it.each<[string, Buffer, string | undefined]>([
    ['id:494E5443', manufacturer('id:494E5443'), 'INTC'],
    ['id:414d4400 in small letters', manufacturer('id:414d4400'), 'AMD'],
    ['as printable text', manufacturer('id:49465800', DER_TAG.printableString), 'IFX'],
    ['an ID that is no text', manufacturer('id:FFFFF1D0'), 'fffff1d0'],
    ['an ID with a colon in it', manufacturer('id:413A4200'), '413a4200'],
    ['a name without id:', manufacturer('AMD'), undefined],
    ['a name that goes on', manufacturer('id:414D440000'), undefined],
    ['nothing', manufacturer(''), undefined],
  ])('by %s', async (_, extension, expected) => {
    const leaf = await ekParty({ more: [extension] });
    const { certified } = await (await trustIn({})).check(offer(leaf), clock.now());
    expect(certified?.manufacturer).toBe(expected);
  });
});

describe('trust by certificate and by list', () => {
  const path = directory.join('hashes');
  let written = 0;

  const list = (...lines: readonly string[]): void => {
    writeFileSync(path, `# ours\n${lines.join('\n')}\n`);
    written += 1;
    utimesSync(path, 1_000 + written, 1_000 + written);
  };

  beforeEach(() => {
    list();
  });

  const listed = { ek_hashes_path: path };

  it('takes either, and says what is missing', async () => {
    const leaf = await ekParty();
    const trust = await trustIn({ ...listed, ek_trust: 'either' });
    await expect(trust.check(offer(leaf), clock.now())).resolves.toMatchObject({ hash });
    await expect(trust.check(offer(undefined), clock.now())).rejects.toMatchObject(
      refusal(`it has no EK certificate, and its EK hash ${hash} is not on the allow-list`),
    );
    list(`${hash.toUpperCase()}  # rack 7`);
    await clock.advance(2_000);
    const trusted = await trust.check(offer(undefined), clock.now());
    expect(trusted.certified).toBeUndefined();
    expect(await trust.isStillTrusted(hash, false)).toBe(true);
    list();
    await clock.advance(2_000);
    expect(await trust.isStillTrusted(hash, false)).toBe(false);
    expect(await trust.isStillTrusted(hash, true)).toBe(true);
  });

  it('takes nothing but both', async () => {
    const leaf = await ekParty();
    const trust = await trustIn({ ...listed, ek_trust: 'both' });
    await expect(trust.check(offer(leaf), clock.now())).rejects.toMatchObject(
      refusal('not on the allow-list'),
    );
    list(hash);
    await clock.advance(2_000);
    await expect(trust.check(offer(leaf), clock.now())).resolves.toMatchObject({ hash });
    await expect(trust.check(offer(undefined), clock.now())).rejects.toMatchObject(
      refusal('it has no EK certificate'),
    );
    expect(await trust.isStillTrusted(hash, true)).toBe(true);
    expect(await trust.isStillTrusted(hash, false)).toBe(false);
    list();
    await clock.advance(2_000);
    expect(await trust.isStillTrusted(hash, true)).toBe(false);
  });

  it('goes by the last good list while the file is broken or gone: nobody is added, nobody is locked out', async () => {
    list(hash);
    const trust = await trustIn({ ...listed, ek_roots: undefined });
    const other = rsaKey(2048);
    const isTaken = (ek: KeyObject): Promise<boolean> =>
      trust.check(offer(undefined, [], ek), clock.now()).then(
        () => true,
        () => false,
      );
    expect(await isTaken(key)).toBe(true);
    const breakages = [
      () => {
        list(hashOf(other), 'not a hash');
      },
      () => {
        rmSync(path);
      },
    ];
    for (const breakIt of breakages) {
      breakIt();
      await clock.advance(2_000);
      expect(await isTaken(key)).toBe(true);
      expect(await isTaken(other)).toBe(false);
    }
    list(hashOf(other));
    await clock.advance(2_000);
    expect(await isTaken(key)).toBe(false);
    expect(await isTaken(other)).toBe(true);
  });

  it('refuses to start with a list or with roots that cannot be read', async () => {
    list('xyz');
    await expect(trustIn(listed)).rejects.toThrow(`${path}:2: "xyz" is not an EK hash`);
    await expect(trustIn({ ek_hashes_path: directory.join('none') })).rejects.toThrow('cannot read');
    await expect(trustIn({}, [await ekParty()])).rejects.toThrow('a certificate that is no authority');
  });
});

/** A subject alternative name of these bytes. */
function manufacturerOf(value: Buffer): Buffer {
  return encodeX509Extension(OID.subjectAlternativeName, true, value);
}
