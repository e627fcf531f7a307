import { writeFileSync } from 'node:fs';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { parseTpmAttest } from '@bonafide/shared/tpm/tpm-attest';
import { parseTpmPublic, publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import { swtpmIsInstalled } from '@bonafide/testing/launch-swtpm';
import type { SoftwareNode } from '@bonafide/testing/software-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NodeAttestor, NodeProof } from '../node-attestor.js';
import {
  LIMIT_MS,
  SECURE_BOOT_OFF,
  SECURE_BOOT_ON,
  selectorsOf,
  TpmStage,
  type Lie,
} from './tpm-fixtures.js';

const PROOFS = 50;

describe.skipIf(!swtpmIsInstalled())('the tpm attestor, with a software TPM', () => {
  let stage: TpmStage;
  let node: SoftwareNode;

  beforeAll(async () => {
    stage = await TpmStage.launch();
    ({ node } = stage);
  }, LIMIT_MS);

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  }, LIMIT_MS);

  beforeEach(async () => {
    await node.boot(SECURE_BOOT_ON);
    node.challenges.length = 0;
  }, LIMIT_MS);

  const attestor = (config?: object): Promise<NodeAttestor> => stage.attestor(config);
  const attest = (...args: Parameters<TpmStage['attest']>): ReturnType<TpmStage['attest']> =>
    stage.attest(...args);
  const prove = (...args: Parameters<TpmStage['prove']>): Promise<NodeProof> => stage.prove(...args);

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

  it('lets no node in whose enrollment ended while it attested', async () => {
    const enrollmentsOnly = { ek_roots: undefined, ek_trust: 'allow_list', ek_enrollment: true };
    const server = await attestor(enrollmentsOnly);
    const hash = ekHash(publicKeyOf(parseTpmPublic((await node.offer()).ekPublic)));
    const enrollment = { ekHash: hash, note: '', enrolledAt: stage.clock.now() };
    await stage.store.write(({ tpmEnrollments }) => tpmEnrollments.create(enrollment));
    const { spend } = await attest(server);
    await stage.store.write(async (transaction) => spend?.(transaction));
    await stage.store.write(({ tpmEnrollments }) => tpmEnrollments.delete(hash));
    await expect(stage.store.write(async (transaction) => spend?.(transaction))).rejects.toMatchObject({
      reason: 'permission_denied',
      message: expect.stringContaining('was taken off the allow-list while it attested') as string,
    });
    const certified = await attest(await attestor({ ek_enrollment: true }));
    await stage.store.write(async (transaction) => certified.spend?.(transaction));
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

  it('changes nothing in its record over fifty proofs, while the clock of the TPM runs', async () => {
    const server = await attestor();
    const { agentId, record } = await attest(server);
    const clocks = new Set<bigint>();
    for (let count = 0; count < PROOFS; count += 1) {
      const proof = await prove(server, { agentId, record }, (answer) => {
        for (const { attest: raw } of answer.quotes) clocks.add(parseTpmAttest(raw).clock);
        return answer;
      });
      expect(proof).toMatchObject({ record, findings: [] });
    }
    expect(clocks.size).toBeGreaterThan(PROOFS / 2);
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
    const path = stage.directory.join('golden.yaml');
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
    await stage.clock.advance(2_000);
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
});
