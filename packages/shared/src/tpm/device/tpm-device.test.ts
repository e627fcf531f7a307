import { createHash, randomBytes, verify, X509Certificate } from 'node:crypto';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasReason } from '../../errors/bonafide-error.js';
import type { PcrBank } from '../algorithm.js';
import { certifyKey, quotePcrs, signDigest } from './commands/attestation.js';
import { readHandles } from './commands/capability.js';
import { createKey, createPrimary, loadKey, readPublic } from './commands/objects.js';
import { extendPcr } from './commands/pcrs.js';
import { ekHash } from '../ek-hash.js';
import { ATTESTATION_TEMPLATE, EK_TEMPLATE, STORAGE_TEMPLATE, encodeKeyTemplate } from '../key-template.js';
import { makeCredential } from '../proof/make-credential.js';
import { openTpmTransport } from './open-transport.js';
import { TpmDevice } from './tpm-device.js';
import { parseTpmPublic, publicKeyOf, tpmName } from '../tpm-public.js';
import { parseTpmSignature, plainSignature } from '../tpm-signature.js';
import { Tpm, type TpmTurn } from './tpm.js';
import { verifyCertify } from '../proof/verify-certify.js';
import { verifyQuote } from '../proof/verify-quote.js';

const SETUP_LIMIT_MS = 180_000;
const TRANSIENT = 0x80000000;
const SESSION = 0x02000000;
const P384_EK = 0x81010016;
const ALL_PCRS = Array.from({ length: 24 }, (_, pcr) => pcr);
const NONCE = createHash('sha256').update('nonce').digest();
const AK = encodeKeyTemplate(ATTESTATION_TEMPLATE.ecc);

const title = 'the TPM of a machine';
describe.skipIf(!swtpmIsInstalled())(
  swtpmIsInstalled() ? title : `${title} (skipped: swtpm is not installed)`,
  { timeout: 120_000 },
  () => {
    let swtpm: Swtpm;
    const open = (): Promise<TpmDevice> => TpmDevice.open({ path: swtpm.path });
    beforeAll(async () => {
      swtpm = await launchSwtpm();
    }, SETUP_LIMIT_MS);
    afterAll(async () => {
      await swtpm.stop();
    });

    it('has an endorsement key that its maker certified, and says who made it', async () => {
      await using tpm = await open();
      const ek = await tpm.endorsementKey();
      const certificate = new X509Certificate(ek.certificate ?? Buffer.alloc(0));
      expect(ekHash(certificate.publicKey)).toBe(ekHash(publicKeyOf(ek.public)));
      const [issuer = Buffer.alloc(0)] = swtpm.ekRoots;
      expect(certificate.verify(new X509Certificate(issuer).publicKey)).toBe(true);
      expect(ek.source).toEqual({ handle: 0x81010001 });
      expect(ek.chain).toEqual([]);
      expect(await tpm.activeBanks()).toEqual(['sha1', 'sha256']);
      expect(await tpm.properties()).toMatchObject({ manufacturer: 'IBM', vendorString: 'SW   TPM' });
    });

    it('opens what was made for its endorsement key and its attestation key', async () => {
      await using tpm = await open();
      const ek = await tpm.endorsementKey();
      for (const length of [1, 16, 32]) {
        const secret = randomBytes(length);
        const made = makeCredential(ek.public, tpmName(await tpm.attestationKey()), secret);
        expect(await tpm.activate(made.credential, made.secret)).toEqual(secret);
      }
    });

    it('opens nothing that was made for another attestation key, or for another endorsement key', async () => {
      await using tpm = await open();
      const name = tpmName(await tpm.attestationKey());
      const ek = (await tpm.endorsementKey()).public;
      const other = await tpm.run((turn) => readPublic(turn, P384_EK));
      const wrongName = makeCredential(ek, Buffer.concat([name.subarray(0, 2), randomBytes(32)]), NONCE);
      await expect(tpm.activate(wrongName.credential, wrongName.secret)).rejects.toThrow('for another key');
      const wrongEk = makeCredential(other, name, NONCE);
      await expect(tpm.activate(wrongEk.credential, wrongEk.secret)).rejects.toMatchObject({
        name: 'BonafideError',
      });
      const good = makeCredential(ek, name, NONCE);
      await expect(tpm.activate(good.credential, randomBytes(256))).rejects.toMatchObject({
        name: 'BonafideError',
      });
      expect(await tpm.activate(good.credential, good.secret)).toEqual(NONCE);
    });

    it.each(Object.entries(EK_TEMPLATE))(
      'activates with an endorsement key of the kind %s',
      async (_kind, template) => {
        await using tpm = await open();
        await tpm.run(async (turn) => {
          const made = await createPrimary(turn, 'endorsement', { template: encodeKeyTemplate(template) });
          await turn.flush(made.handle);
          const ak = await createPrimary(turn, 'endorsement', { template: AK });
          const ek = {
            public: made.public,
            certificate: undefined,
            chain: [],
            source: { template: encodeKeyTemplate(template) },
          };
          const credential = makeCredential(made.public, tpmName(ak.public), NONCE);
          expect(await tpm.activateFor(turn, ak, ek, credential)).toEqual(NONCE);
        });
      },
    );

    it('makes its two certified endorsement keys again from their templates', async () => {
      await using tpm = await open();
      const pairs = [
        [0x81010001, EK_TEMPLATE.lowRsa2048],
        [P384_EK, EK_TEMPLATE.highP384],
      ] as const;
      for (const [handle, template] of pairs)
        await tpm.run(async (turn) => {
          const made = await createPrimary(turn, 'endorsement', { template: encodeKeyTemplate(template) });
          expect(made.public.raw).toEqual((await readPublic(turn, handle)).raw);
        });
    });

    it('has one attestation key, which vouches for every PCR of every bank', async () => {
      await using tpm = await open();
      const ak = await tpm.attestationKey();
      expect((await tpm.attestationKey()).raw).toEqual(ak.raw);
      for (const bank of await tpm.activeBanks()) {
        const { pcrs: values, ...signed } = await tpm.quote(bank, ALL_PCRS, NONCE);
        const claim = { ak, ...signed, extraData: NONCE, pcrs: ALL_PCRS, values };
        expect(verifyQuote(claim)).toMatchObject(await countersOf(tpm));
        expect(verifyQuote(claim).values).toEqual(await tpm.pcrs(bank, ALL_PCRS));
        const otherBank: PcrBank = bank === 'sha1' ? 'sha256' : 'sha1';
        expect(() => verifyQuote({ ...claim, bank: otherBank })).toThrow('another bank');
      }
    });

    it('says which bank is not active', async () => {
      await using tpm = await open();
      await expect(tpm.quote('sha512', [0], NONCE)).rejects.toThrow('sha512 bank: it is not active');
    });

    it('quotes another value once a PCR was extended, and the first one after a reboot', async () => {
      await using first = await open();
      const before = await first.quote('sha256', [10], NONCE);
      const clock = await first.clock();
      await first.run((turn) => extendPcr(turn, 'sha256', 10, NONCE));
      const after = await first.quote('sha256', [10], NONCE);
      expect(after.pcrs.get(10)).toEqual(sha256(before.pcrs.get(10) ?? Buffer.alloc(0), NONCE));
      await first.close();
      await swtpm.restart();
      await expect(first.clock()).rejects.toMatchObject({ reason: 'unavailable' });
      await using second = await open();
      expect((await second.quote('sha256', [10], NONCE)).pcrs).toEqual(before.pcrs);
      expect((await second.clock()).resetCount).toBe(clock.resetCount + 1);
    });

    it('serves many at once, a turn each, though it has three places', async () => {
      await using tpm = await open();
      const quotes = await Promise.all(ALL_PCRS.map((pcr) => tpm.quote('sha256', [pcr], NONCE)));
      expect(quotes.map(({ pcrs }) => [...pcrs.keys()])).toEqual(ALL_PCRS.map((pcr) => [pcr]));
    });

    it('keeps nothing loaded when what was to be done fails, or nobody waits for it any more', async () => {
      await using tpm = await open();
      const leave = new AbortController();
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const failing = tpm.run(async (turn) => {
          await createPrimary(turn, 'endorsement', { template: AK });
          await createPrimary(turn, 'endorsement', { template: AK });
          throw new Error('half-way');
        });
        await expect(failing).rejects.toThrow('half-way');
      }
      const abandoned = tpm.run(async (turn) => {
        await createPrimary(turn, 'endorsement', { template: AK });
        leave.abort();
        await createPrimary(turn, 'endorsement', { template: AK });
      }, leave.signal);
      await expect(abandoned).rejects.toMatchObject({ reason: 'cancelled' });
      await expect(tpm.clock(leave.signal)).rejects.toMatchObject({ reason: 'cancelled' });
      expect(await tpm.run(loaded)).toEqual([]);
    });

    it('says that there is no more room, and makes room again', async () => {
      await using tpm = await open();
      const greedy = tpm.run(async (turn) => {
        for (let key = 0; key < 10; key += 1) await createPrimary(turn, 'endorsement', { template: AK });
      });
      await expect(greedy).rejects.toThrow('no room for another key');
      expect(await tpm.run(loaded)).toEqual([]);
    });

    it('takes away what a program left that was killed', async () => {
      const transport = await openTpmTransport(swtpm.path);
      const killed = new Tpm({ transport }).run(async (turn) => {
        for (let key = 0; key < 3; key += 1) await createPrimary(turn, 'endorsement', { template: AK });
        await transport.close();
        throw new Error('killed');
      });
      await expect(killed).rejects.toThrow('killed');
      await using tpm = await open();
      expect(await tpm.run(loaded)).toEqual([]);
    });

    it.each(['rsa', 'ecc'] as const)(
      'certifies and uses %s keys that are kept outside of it',
      async (type) => {
        await using tpm = await open();
        await tpm.run(async (turn) => {
          const storage = { template: encodeKeyTemplate(STORAGE_TEMPLATE[type]) };
          const signing = {
            ...ATTESTATION_TEMPLATE[type],
            attributes: ATTESTATION_TEMPLATE[type].attributes.filter(
              (attribute) => attribute !== 'restricted',
            ),
          };
          const parent = await createPrimary(turn, 'owner', storage);
          const devid = await createKey(turn, parent.handle, { template: encodeKeyTemplate(signing) });
          const password = Buffer.from('secret');
          const ak = await createKey(turn, parent.handle, {
            template: encodeKeyTemplate(ATTESTATION_TEMPLATE[type]),
            password,
          });
          const key = await loadKey(turn, parent.handle, devid);
          const signer = await loadKey(turn, parent.handle, ak);
          await turn.flush(parent.handle);
          expect(key.public.raw).toEqual(devid.publicBlob);
          const wrong = certifyKey(turn, key, { ...signer, authorization: { password: NONCE } }, NONCE);
          await expect(wrong).rejects.toThrow('the password is wrong');
          const signed = await certifyKey(turn, key, { ...signer, authorization: { password } }, NONCE);
          verifyCertify({ ak: signer.public, ...signed, extraData: NONCE, certified: key.public });
          const asQuote = { bank: 'sha256', pcrs: [0], values: new Map([[0, NONCE]]) } as const;
          expect(() => verifyQuote({ ak: signer.public, ...signed, extraData: NONCE, ...asQuote })).toThrow(
            'no quote',
          );
          const signature = await signDigest(turn, key, sha256(Buffer.from('proof')));
          const plain = plainSignature(key.public, parseTpmSignature(signature));
          const verifier = { key: publicKeyOf(key.public), dsaEncoding: 'ieee-p1363' } as const;
          expect(verify('sha256', Buffer.from('proof'), verifier, plain)).toBe(true);
          await expect(signDigest(turn, { ...signer, authorization: { password } }, NONCE)).rejects.toThrow(
            'refused',
          );
        });
      },
    );

    it('is of no use to who does not know the password of its hierarchy', async () => {
      await using tpm = await TpmDevice.open({ path: swtpm.path, endorsementPassword: 'guess' });
      await expect(tpm.attestationKey()).rejects.toThrow('the password is wrong');
    });

    it('gives a command that never comes back its time, and no more', async () => {
      const first = await open(); // swtpm serves nobody else until it is closed
      const second = TpmDevice.open({ path: swtpm.path, limitMs: 300 });
      await expect(second).rejects.toMatchObject({ reason: 'deadline_exceeded' });
      expect((await first.clock()).resetCount).toBeGreaterThan(0);
      await first.close();
    });

    it('is locked by wrong passwords, but not for attestation', async () => {
      await using tpm = await open();
      await tpm.run(async (turn) => {
        const storage = { template: encodeKeyTemplate(STORAGE_TEMPLATE.ecc) };
        const guarded = ATTESTATION_TEMPLATE.ecc.attributes.filter((attribute) => attribute !== 'noDA');
        const template = encodeKeyTemplate({ ...ATTESTATION_TEMPLATE.ecc, attributes: guarded });
        const parent = await createPrimary(turn, 'owner', storage);
        const wrapped = await createKey(turn, parent.handle, { template, password: Buffer.from('secret') });
        const key = await loadKey(turn, parent.handle, wrapped);
        const guess = (): Promise<unknown> =>
          quotePcrs(
            turn,
            { handle: key.handle, authorization: { password: NONCE } },
            { bank: 'sha256', pcrs: [0], extraData: NONCE },
          );
        const until = async (): Promise<unknown> => {
          for (let tries = 0; tries < 10; tries += 1) {
            const error = await guess().catch((thrown: unknown) => thrown);
            if (hasReason(error, 'unavailable')) return error;
          }
          return undefined;
        };
        expect(await until()).toMatchObject({
          message: expect.stringContaining('tpm2_dictionarylockout') as string,
        });
      });
      expect((await tpm.quote('sha256', [0], NONCE)).bank).toBe('sha256');
      const ek = await tpm.endorsementKey();
      const made = makeCredential(ek.public, tpmName(await tpm.attestationKey()), NONCE);
      expect(await tpm.activate(made.credential, made.secret)).toEqual(NONCE);
    });

    it('parses its own public areas back to what they are', async () => {
      await using tpm = await open();
      const ak = await tpm.attestationKey();
      expect(parseTpmPublic(ak.raw)).toEqual(ak);
    });
  },
);

async function countersOf(tpm: TpmDevice): Promise<{ resetCount: number; restartCount: number }> {
  const { resetCount, restartCount } = await tpm.clock();
  return { resetCount, restartCount };
}

async function loaded(turn: TpmTurn): Promise<readonly number[]> {
  return [...(await readHandles(turn, TRANSIENT)), ...(await readHandles(turn, SESSION))];
}

function sha256(...parts: readonly Buffer[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest();
}
