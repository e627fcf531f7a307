import {
  formatTpmAnswer,
  formatTpmOffer,
  parseTpmChallenge,
  quoteExtraData,
  type TpmAnswer,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { ForgedAttestationKey } from '@bonafide/testing/forged-attestation-key';
import { swtpmIsInstalled } from '@bonafide/testing/launch-swtpm';
import type { SoftwareNode } from '@bonafide/testing/software-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NodeAttestor } from '../node-attestor.js';
import { CERTIFICATE_HASH, CSR_HASH, LIMIT_MS, SECURE_BOOT_ON, TpmStage, type Lie } from './tpm-fixtures.js';

describe.skipIf(!swtpmIsInstalled())('what the tpm attestor does not believe, with a software TPM', () => {
  let stage: TpmStage;
  let node: SoftwareNode;
  let other: SoftwareNode;

  beforeAll(async () => {
    stage = await TpmStage.launch();
    ({ node } = stage);
    other = await stage.launchOther();
  }, LIMIT_MS);

  afterAll(async () => {
    await other[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  }, LIMIT_MS);

  beforeEach(async () => {
    await node.boot(SECURE_BOOT_ON);
    node.challenges.length = 0;
  }, LIMIT_MS);

  const attestor = (config?: object): Promise<NodeAttestor> => stage.attestor(config);
  const attest = (...args: Parameters<TpmStage['attest']>): ReturnType<TpmStage['attest']> =>
    stage.attest(...args);

  describe('refuses', () => {
    const refusal = (message: RegExp): object => ({
      reason: 'permission_denied',
      message: expect.stringMatching(message) as string,
    });

    it('an attestation key that is in another TPM', async () => {
      const payload = formatTpmOffer({ ...(await node.offer()), akPublic: (await other.offer()).akPublic });
      await expect(attest(await attestor(), { payload })).rejects.toThrow();
    });

    it('the EK of another TPM: certificate and key disagree', async () => {
      const { ekCertificate } = await other.offer();
      const payload = formatTpmOffer({
        ...(await node.offer()),
        ekCertificate: ekCertificate ?? Buffer.alloc(1),
      });
      await expect(attest(await attestor(), { payload })).rejects.toMatchObject(refusal(/another key/));
      const lenient = { ek_enrollment: true };
      await expect(attest(await attestor(lenient), { payload })).rejects.toMatchObject(
        refusal(/another key/),
      );
    });

    it('another attestation key for a TPM that is known, until an operator has it forgotten', async () => {
      const server = await attestor();
      const { record } = await attest(server);
      const { akPublic } = await other.offer();
      const known = JSON.parse(record) as object;
      const foreign = JSON.stringify({ ...known, akPublic: akPublic.toString('base64') });
      await expect(attest(server, { record: foreign })).rejects.toMatchObject(refusal(/tpm rekey/));
      const forgotten = JSON.stringify({ ...known, akPublic: undefined });
      expect((await attest(server, { record: forgotten })).findings).toEqual([]);
    });

    it('a TPM that nobody trusts', async () => {
      const server = await attestor({ ek_roots: undefined, ek_enrollment: true });
      await expect(attest(server)).rejects.toMatchObject(refusal(/not on the allow-list/));
    });

    it('a wrong secret, whatever the quotes', async () => {
      const lie: Lie = (answer) => ({ ...answer, activated: Buffer.alloc(32, 1) });
      await expect(attest(await attestor(), { lie })).rejects.toMatchObject(refusal(/secret/));
      const silent: Lie = (answer) => ({ ...answer, activated: undefined });
      await expect(attest(await attestor(), { lie: silent })).rejects.toMatchObject(refusal(/secret/));
    });

    it('quotes of an earlier challenge, and of another key to certify', async () => {
      const server = await attestor();
      let recorded: TpmAnswer | undefined;
      await attest(server, { lie: (answer) => (recorded = answer) });
      const replay: Lie = (answer) => ({ ...answer, quotes: recorded?.quotes ?? [] });
      await expect(attest(server, { lie: replay })).rejects.toMatchObject(
        refusal(/not made for this challenge/),
      );
      const wholly: Lie = () => recorded ?? Promise.reject(new Error('nothing was recorded'));
      await expect(attest(server, { lie: wholly })).rejects.toMatchObject(refusal(/secret/));
      const elsewhere: Lie = async (answer, challenge) => ({
        ...answer,
        quotes: (await node.answer(challenge, CERTIFICATE_HASH)).quotes,
      });
      await expect(attest(server, { lie: elsewhere })).rejects.toMatchObject(
        refusal(/not made for this challenge/),
      );
    });

    it('a selection that is empty, shrunk, or of fewer banks', async () => {
      const server = await attestor();
      const empty: Lie = (answer) => ({
        ...answer,
        quotes: answer.quotes.map((quote) => ({ ...quote, pcrs: new Map<number, Buffer>() })),
      });
      await expect(attest(server, { lie: empty })).rejects.toMatchObject(refusal(/values of other PCRs/));
      const shrunk: Lie = async (answer, challenge) => ({
        ...answer,
        quotes: (await node.answer({ ...challenge, pcrs: [0] }, CSR_HASH)).quotes,
      });
      await expect(attest(server, { lie: shrunk })).rejects.toMatchObject(refusal(/other PCRs/));
      for (const kept of ['sha1', 'sha256']) {
        const fewer: Lie = (answer) => ({
          ...answer,
          quotes: answer.quotes.filter(({ bank }) => bank === kept),
        });
        await expect(attest(server, { lie: fewer })).rejects.toMatchObject(refusal(/did not quote its bank/));
      }
    });

    it('values that were not quoted', async () => {
      const lie: Lie = (answer) => ({
        ...answer,
        quotes: answer.quotes.map((quote) => ({
          ...quote,
          pcrs: new Map(
            [...quote.pcrs].map(([pcr, value]) => [pcr, pcr === 7 ? Buffer.alloc(value.length) : value]),
          ),
        })),
      });
      await expect(attest(await attestor(), { lie })).rejects.toMatchObject(
        refusal(/not those that were quoted/),
      );
    });

    it('what is too large or malformed, before any work', async () => {
      const server = await attestor();
      for (const payload of [Buffer.alloc(8 * 1024 * 1024, 0x20), Buffer.from('{'), Buffer.alloc(0)]) {
        await expect(attest(server, { payload })).rejects.toMatchObject({ reason: 'invalid_argument' });
      }
      const offer = await node.offer();
      const many = formatTpmOffer({ ...offer, ekChain: Array.from({ length: 9 }, () => Buffer.alloc(10)) });
      await expect(attest(server, { payload: many })).rejects.toMatchObject({ reason: 'invalid_argument' });
      expect(node.challenges).toEqual([]);
    });

    it('quotes by a key that anybody could use to sign what looks like a quote', async () => {
      const unrestricted = new ForgedAttestationKey({
        attributes: ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'sign'],
      });
      const payload = formatTpmOffer({ ...(await node.offer()), akPublic: unrestricted.public.raw });
      await expect(attest(await attestor(), { payload })).rejects.toMatchObject(refusal(/restricted/));
      expect(node.challenges).toEqual([]);
    });

    it('a key outside of the TPM, whose secret nobody there can open', async () => {
      const forged = new ForgedAttestationKey();
      const server = await attestor();
      const proof = server.attest({
        payload: formatTpmOffer({ ...(await node.offer()), akPublic: forged.public.raw }),
        csrHash: CSR_HASH,
        now: stage.clock.now(),
        recall: () => Promise.resolve(undefined),
        challenge(data) {
          const { banks, nonce, pcrs, credential } = parseTpmChallenge(data);
          expect(credential).toBeDefined();
          const extraData = quoteExtraData(nonce, CSR_HASH);
          const quotes = banks
            .filter((bank) => bank === 'sha256')
            .map((bank) => {
              const values = new Map(pcrs.map((pcr) => [pcr, Buffer.alloc(32)]));
              return { bank, ...forged.quote(bank, values, { extraData }), pcrs: values };
            });
          const answer = { activated: Buffer.alloc(32), quotes, activeBanks: ['sha256' as const] };
          return Promise.resolve(formatTpmAnswer(answer));
        },
      });
      await expect(proof).rejects.toMatchObject(refusal(/could not open the secret/));
    });

    it('the endorsement key of another TPM with its certificate: the secret is for that one', async () => {
      const { ekCertificate, ekChain, ekPublic } = await other.offer();
      const { akPublic } = await node.offer();
      const certificate = ekCertificate === undefined ? {} : { ekCertificate };
      const payload = formatTpmOffer({ version: 1, ...certificate, ekChain, ekPublic, akPublic });
      // This TPM cannot open it, so that the attacker has nothing to answer.
      await expect(attest(await attestor(), { payload })).rejects.toThrow();
      expect(node.challenges).toHaveLength(1);
    });
  });

  it(
    'takes a machine with one bank, and none without the bank of policy',
    async () => {
      await using single = await stage.launchOther({ banks: ['sha256'] });
      await single.boot(SECURE_BOOT_ON);
      const evidence = async (): Promise<Parameters<NodeAttestor['attest']>[0]> => ({
        payload: await single.payload(),
        csrHash: CSR_HASH,
        now: stage.clock.now(),
        challenge: single.answering(CSR_HASH),
        recall: () => Promise.resolve(undefined),
      });
      const server = await attestor();
      expect((await server.attest(await evidence())).findings).toEqual([]);
      const strict = await attestor({ policy: { banks: ['sha384'] } });
      await expect(strict.attest(await evidence()).then(({ findings }) => findings)).resolves.toContainEqual(
        expect.objectContaining({ kind: 'policy', bank: 'sha384' }),
      );
    },
    LIMIT_MS,
  );
});
