import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { formatTpmOffer, type TpmAnswer, type TpmChallenge } from '@bonafide/shared/tpm/tpm-evidence';
import { parseTpmPublic, publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { swtpmIsInstalled } from '@bonafide/testing/launch-swtpm';
import { SoftwareNode } from '@bonafide/testing/software-node';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../store/open-store.js';
import type { Store } from '../../store/store.js';
import type { NodeAttestor, NodeProof, ProvenNode } from '../node-attestor.js';
import { tpm } from './tpm.js';
import type { TpmConfig } from './tpm-config.js';

const CSR_HASH = createHash('sha256').update('a CSR').digest();
const CERTIFICATE_HASH = createHash('sha256').update('a certificate').digest();
const LIMIT_MS = 120_000;

const fixture = (name: string): Buffer =>
  readFileSync(
    new URL(`../../../../shared/src/tpm/fixtures/${name}/binary_bios_measurements`, import.meta.url),
  );
const SECURE_BOOT_ON = fixture('sb-on');
const SECURE_BOOT_OFF = fixture('sb-off');

type Lie = (answer: TpmAnswer, challenge: TpmChallenge) => TpmAnswer | Promise<TpmAnswer>;

describe.skipIf(!swtpmIsInstalled())('the tpm attestor, with a software TPM', () => {
  let node: SoftwareNode;
  let other: SoftwareNode;
  let store: Store;
  let directory: TemporaryDirectory;
  /** Later than the certificates, which are made below. */
  const clock = new FakeClock(new Date(Date.now() + 3_600_000));

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    const authorityDirectory = directory.join('authority');
    node = await SoftwareNode.launch({ authorityDirectory });
    other = await SoftwareNode.launch({ authorityDirectory });
    store = await openStore({ path: directory.join('store.sqlite3'), log: silentLogger });
    const pem = node.swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der)).join('');
    writeFileSync(directory.join('roots.pem'), pem);
  }, LIMIT_MS);

  afterAll(async () => {
    await node[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    await store.close();
    directory.remove();
  }, LIMIT_MS);

  beforeEach(async () => {
    await node.boot(SECURE_BOOT_ON);
    node.challenges.length = 0;
  }, LIMIT_MS);

  const attestor = async (config: object = {}): Promise<NodeAttestor> => {
    const parsed: TpmConfig = tpm.configSchema.parse({
      ek_roots: [directory.join('roots.pem')],
      ...config,
    });
    const signal = new AbortController().signal;
    const trustDomain = parseTrustDomain('example.org');
    return tpm.create(parsed, { trustDomain, clock, log: silentLogger, store, signal });
  };

  const attest = async (
    server: NodeAttestor,
    options: { payload?: Buffer; lie?: Lie; record?: string | undefined } = {},
  ): Promise<ProvenNode & { record: string }> => {
    const proven = await server.attest({
      payload: options.payload ?? (await node.payload()),
      csrHash: CSR_HASH,
      now: clock.now(),
      challenge: node.answering(CSR_HASH, options.lie),
      recall: () => Promise.resolve(options.record),
    });
    return { ...proven, record: proven.record ?? '' };
  };

  const prove = async (
    server: NodeAttestor,
    { agentId, record }: { readonly agentId: ProvenNode['agentId']; readonly record: string | undefined },
    lie?: Lie,
  ): Promise<NodeProof> => {
    if (server.continuous === undefined) throw new Error('the attestor proves nothing again');
    return server.continuous.prove({
      agentId,
      certificateHash: CERTIFICATE_HASH,
      record,
      now: clock.now(),
      challenge: node.answering(CERTIFICATE_HASH, lie),
    });
  };

  const selectorsOf = ({ selectors }: Pick<ProvenNode, 'selectors'>): readonly string[] =>
    selectors.map(({ type, value }) => `${type}:${value}`);

  it('proves a node by its EK certificate, and says what it booted', async () => {
    const proven = await attest(await attestor({ policy: { secure_boot: 'required' } }));
    const hash = ekHash(publicKeyOf(parseTpmPublic((await node.offer()).ekPublic)));
    expect(proven.findings).toEqual([]);
    expect(proven.agentId).toBe(`spiffe://example.org/spire/agent/tpm/${hash}`);
    expect(proven.canReattest).toBe(true);
    const selectors = selectorsOf(proven);
    expect(selectors).toContain(`tpm:ek_hash:${hash}`);
    expect(selectors).toContain('tpm:secure_boot:true');
    expect(selectors.filter((text) => text.startsWith('tpm:db_authority:'))).not.toEqual([]);
    expect(selectors.filter((text) => text.startsWith('tpm:ek_ca:'))).not.toEqual([]);
    expect(selectors.filter((text) => text.startsWith('tpm:manufacturer:'))).toHaveLength(1);
    expect(selectors.filter((text) => text.startsWith('tpm:pcr:sha256:'))).toHaveLength(11);
    expect(selectors.filter((text) => text.startsWith('tpm:pcr:sha1:'))).toEqual([]);
  });

  it('believes an unchanged node without its log, and notes nothing new', async () => {
    const server = await attestor();
    const proven = await attest(server);
    node.challenges.length = 0;
    const proof = await prove(server, proven);
    expect(proof).toEqual({ record: proven.record, selectors: proven.selectors, findings: [] });
    expect(node.challenges.map(({ wantsEventLog }) => wantsEventLog)).toEqual([false]);
    const again = await attest(server, { record: proven.record });
    expect(again).toMatchObject({ record: proven.record, findings: [] });
  });

  it('names a PCR that was extended since the boot, and accepts it when an operator does', async () => {
    const server = await attestor();
    const proven = await attest(server);
    await node.extend('sha256', 4, 0xaa);
    const proof = await prove(server, proven);
    expect(proof.findings).toMatchObject([
      { kind: 'pcr', bank: 'sha256', pcr: 4, event: expect.stringContaining('extended later') as string },
    ]);
    const [finding] = proof.findings;
    expect(finding?.before).not.toBe(finding?.after);
    // Still so at the next look, and at the next attestation.
    expect((await prove(server, { ...proven, record: proof.record })).findings).toMatchObject([{ pcr: 4 }]);
    expect((await attest(server, { record: proof.record })).findings).toMatchObject([{ pcr: 4 }]);
    const accepted = server.continuous?.accept(proof.record);
    expect((await prove(server, { ...proven, record: accepted })).findings).toEqual([]);
  });

  it('demands the log after a reboot, and believes the same boot again', async () => {
    const server = await attestor();
    const proven = await attest(server);
    await node.boot(SECURE_BOOT_ON);
    node.challenges.length = 0;
    const proof = await prove(server, proven);
    expect(proof.findings).toEqual([]);
    expect(node.challenges.map(({ wantsEventLog }) => wantsEventLog)).toEqual([false, true]);
    expect(proof.record).not.toBe(proven.record);
    const nonces = node.challenges.map(({ nonce }) => nonce.toString('hex'));
    expect(new Set(nonces).size).toBe(2);
  });

  it('names what differs after a reboot into something else, with the event of the log', async () => {
    const server = await attestor();
    const proven = await attest(server);
    await node.boot(SECURE_BOOT_OFF);
    const { findings } = await prove(server, proven);
    expect(findings).toContainEqual(
      expect.objectContaining({ kind: 'secure_boot', before: 'on', after: 'off' }),
    );
    const pcr = findings.find((finding) => finding.pcr === 7);
    expect(pcr).toMatchObject({ kind: 'pcr', event: expect.stringContaining('event 0 of PCR 7') as string });
  });

  it('misses a log that is dropped after a reboot, also the second time', async () => {
    const server = await attestor();
    const proven = await attest(server);
    await node.boot(SECURE_BOOT_ON);
    node.eventLog = undefined;
    const proof = await prove(server, proven);
    expect(proof.findings).toMatchObject([{ kind: 'boot_log' }, { kind: 'secure_boot' }]);
    const again = await prove(server, { ...proven, record: proof.record });
    expect(again.findings).toMatchObject([{ kind: 'boot_log' }, { kind: 'secure_boot' }]);
  });

  it('does not believe a log of a boot with Secure Boot on a machine without it', async () => {
    await node.boot(SECURE_BOOT_OFF);
    node.eventLog = SECURE_BOOT_ON;
    const { findings, selectors } = await attest(await attestor());
    expect(findings).toContainEqual(expect.objectContaining({ kind: 'boot_log', bank: 'sha256', pcr: 7 }));
    expect(selectorsOf({ selectors }).filter((text) => text.includes('secure_boot'))).toEqual([]);
  });

  it('lets a state through that a golden set allows, and no other', async () => {
    const proven = await attest(await attestor());
    const pcrs = Object.fromEntries(
      selectorsOf(proven).flatMap((text) => {
        const [, pcr, value] = /^tpm:pcr:sha256:(\d+):(.*)$/.exec(text) ?? [];
        return pcr === undefined ? [] : [[pcr, [value]]];
      }),
    );
    const path = directory.join('golden.yaml');
    writeFileSync(path, JSON.stringify({ good: { sha256: pcrs } }));
    const server = await attestor({ policy: { golden_path: path } });
    const allowed = await attest(server);
    expect(allowed.findings).toEqual([]);
    await node.boot(SECURE_BOOT_OFF);
    const { findings } = await prove(server, allowed);
    expect(findings.map(({ pcr }) => pcr)).toContain(7);
    // The file is read again: another set allows it.
    const off = await attest(await attestor());
    const offPcrs: Record<string, string[]> = {};
    for (const text of selectorsOf(off)) {
      const [, pcr, value] = /^tpm:pcr:sha256:(\d+):(.*)$/.exec(text) ?? [];
      if (pcr !== undefined && value !== undefined) offPcrs[pcr] = [value];
    }
    writeFileSync(path, JSON.stringify({ good: { sha256: pcrs }, other: { sha256: offPcrs } }));
    await clock.advance(2_000);
    expect((await prove(server, allowed)).findings).toEqual([]);
  });

  it('misses a bank that was active, and does not take SHA-1 for the bank of policy', async () => {
    const server = await attestor();
    const proven = await attest(server);
    const only =
      (kept: string): Lie =>
      (answer) => ({
        ...answer,
        activeBanks: answer.activeBanks.filter((bank) => bank === kept),
        quotes: answer.quotes.filter(({ bank }) => bank === kept),
      });
    const bankFinding = (bank: string): unknown => expect.objectContaining({ kind: 'policy', bank });
    expect((await prove(server, proven, only('sha256'))).findings).toContainEqual(bankFinding('sha1'));
    const downgraded = await attest(server, { lie: only('sha1') });
    expect(downgraded.findings).toContainEqual(bankFinding('sha256'));
    expect(selectorsOf(downgraded).filter((text) => text.startsWith('tpm:pcr:'))).toEqual([]);
  });

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
  });

  it(
    'takes a machine with one bank, and none without the bank of policy',
    async () => {
      await using single = await SoftwareNode.launch({
        authorityDirectory: directory.join('authority'),
        banks: ['sha256'],
      });
      await single.boot(SECURE_BOOT_ON);
      const evidence = async (): Promise<Parameters<NodeAttestor['attest']>[0]> => ({
        payload: await single.payload(),
        csrHash: CSR_HASH,
        now: clock.now(),
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
