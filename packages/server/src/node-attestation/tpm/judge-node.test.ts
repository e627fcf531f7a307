import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { PCR_BANKS, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import { recordedBoot } from '@bonafide/shared/tpm/measured-boot/boot-log/boot-log-fixtures';
import { parseImaList, type ImaEntry } from '@bonafide/shared/tpm/measured-boot/ima-list';
import { templateHash } from '@bonafide/shared/tpm/measured-boot/match-ima-list';
import {
  formatTpmAnswer,
  parseTpmChallenge,
  quoteExtraData,
  type TpmChallenge,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { ForgedAttestationKey } from '@bonafide/testing/forged-attestation-key';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, describe, expect, it } from 'vitest';
import { openStore } from '../../store/open-store.js';
import type { ContinuousProof, NodeProof } from '../node-attestor.js';
import { tpmAgentId } from './tpm-agent-id.js';
import { formatTpmRecord } from './tpm-record.js';
import { tpm } from './tpm.js';

const trustDomain = parseTrustDomain('example.org');
const HASH = 'ab'.repeat(32);
const agentId = tpmAgentId(trustDomain, HASH);
const certificateHash = Buffer.alloc(32, 7);
const directory = createTemporaryDirectory();
const store = await openStore({ path: directory.join('store.sqlite3'), log: silentLogger });
const clock = new FakeClock();
const on = recordedBoot('sb-on');
const imaEntries = parseImaList(on.imaList);

afterAll(async () => {
  await store.close();
  directory.remove();
});

/** A machine whose attestation key is known to the server, and which can claim anything. */
class ClaimingNode {
  readonly key = new ForgedAttestationKey();
  readonly challenges: TpmChallenge[] = [];
  values = new Map<PcrBank, Map<number, Buffer>>(
    [...on.pcrs].map(([bank, pcrs]) => [bank, new Map(bank === 'sha256' ? on.quoted : pcrs)]),
  );
  resetCount = 7;
  firmwareVersion = 0x10n;
  eventLog: Buffer | undefined = on.raw;
  /** From any entry on, so many of them. */
  ima: ((from: number) => Buffer) | undefined;

  set(pcr: number, byte: number, bank: PcrBank = 'sha256'): void {
    const values = this.values.get(bank);
    const length = values?.get(pcr)?.length ?? 32;
    values?.set(pcr, Buffer.alloc(length, byte));
  }

  answering(data: Buffer): Promise<Buffer> {
    const challenge = parseTpmChallenge(data);
    this.challenges.push(challenge);
    const { banks, pcrs, nonce, wantsEventLog, imaFrom } = challenge;
    const quotes = banks.flatMap((bank) => {
      const values = this.values.get(bank);
      if (values === undefined) return [];
      const quoted = new Map(pcrs.map((pcr) => [pcr, values.get(pcr) ?? Buffer.alloc(32)]));
      const { resetCount, firmwareVersion } = this;
      const extraData = quoteExtraData(nonce, certificateHash);
      const signed = this.key.quote(bank, quoted, { extraData, resetCount, firmwareVersion });
      return [{ bank, ...signed, pcrs: quoted }];
    });
    const answer = {
      quotes,
      activeBanks: [...this.values.keys()],
      ...(wantsEventLog && this.eventLog !== undefined ? { eventLog: this.eventLog } : {}),
      ...(imaFrom === undefined || this.ima === undefined
        ? {}
        : { ima: { from: imaFrom, list: this.ima(imaFrom) } }),
    };
    return Promise.resolve(formatTpmAnswer(answer));
  }
}

class Domain {
  readonly node = new ClaimingNode();
  readonly #continuous: ContinuousProof;
  record: string;

  private constructor(continuous: ContinuousProof, record: string) {
    this.#continuous = continuous;
    this.record = record;
  }

  /** One that has accepted the node as it is. */
  static async accepting(policy: object = {}, change: (node: ClaimingNode) => void = () => undefined) {
    const config = tpm.configSchema.parse({ ek_enrollment: true, policy });
    const signal = new AbortController().signal;
    const host = { trustDomain, clock, log: silentLogger, store, signal };
    const { continuous } = await tpm.create(config, host);
    if (continuous === undefined) throw new Error('the attestor proves nothing again');
    const domain = new Domain(continuous, '');
    change(domain.node);
    domain.record = formatTpmRecord({
      version: 1,
      akPublic: domain.node.key.public.raw.toString('base64'),
      ek: { isCertified: false, authorities: [] },
      expected: {
        pcrs: Object.fromEntries(
          PCR_BANKS.filter((bank) => domain.node.values.has(bank)).map((bank) => [bank, {}]),
        ),
        ...{ resetCount: domain.node.resetCount, restartCount: 0, clock: '0', firmwareVersion: '10' },
        bootLog: { kind: 'none' },
      },
    });
    await store.write(async ({ tpmEnrollments }) => {
      if ((await tpmEnrollments.get(HASH)) === undefined)
        await tpmEnrollments.create({ ekHash: HASH, note: '', enrolledAt: new Date(1) });
    });
    await domain.prove();
    domain.accept();
    domain.node.challenges.length = 0;
    return domain;
  }

  async prove(): Promise<NodeProof> {
    const challenge = (data: Buffer): Promise<Buffer> => this.node.answering(data);
    const { record } = this;
    const proof = await this.#continuous.prove({
      ...{ agentId, certificateHash, record, now: clock.now(), challenge },
    });
    this.record = proof.record;
    return proof;
  }

  accept(): void {
    this.record = this.#continuous.accept(this.record);
  }

  facts(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#continuous.facts(this.record).map(({ name, value }) => [name, value]));
  }
}

const accepting = (...args: Parameters<typeof Domain.accepting>): Promise<Domain> =>
  Domain.accepting(...args);
const [AUTHORITY = ''] = await accepting().then(async (domain) =>
  (await domain.prove()).selectors
    .map(({ value }) => value)
    .filter((value) => value.startsWith('db_authority:'))
    .map((value) => value.slice('db_authority:'.length)),
);

describe('a machine that is known', () => {
  it('is believed without its log while nothing changes', async () => {
    const domain = await accepting();
    const before = domain.record;
    expect((await domain.prove()).findings).toEqual([]);
    expect(domain.record).toBe(before);
    expect(domain.node.challenges.map(({ wantsEventLog }) => wantsEventLog)).toEqual([false]);
  });

  it('whose TPM was cleared is found out, also when its PCRs are the same', async () => {
    const domain = await accepting();
    domain.node.resetCount = 0;
    const cleared = { kind: 'policy', before: '7', after: '0' };
    expect((await domain.prove()).findings).toMatchObject([cleared]);
    expect((await domain.prove()).findings).toMatchObject([cleared]);
    domain.accept();
    expect((await domain.prove()).findings).toEqual([]);
  });

  it('may restart, and must show its log then', async () => {
    const domain = await accepting();
    domain.node.resetCount = 9;
    expect((await domain.prove()).findings).toEqual([]);
    expect(domain.node.challenges.map(({ wantsEventLog }) => wantsEventLog)).toEqual([false, true]);
  });

  it('whose TPM has another firmware is found out', async () => {
    const domain = await accepting();
    domain.node.firmwareVersion = 0x11n;
    expect((await domain.prove()).findings).toMatchObject([{ kind: 'firmware', before: '10', after: '11' }]);
    expect(domain.facts()['TPM firmware']).toBe('11');
    domain.accept();
    expect((await domain.prove()).findings).toEqual([]);
  });

  it('may change the PCRs that policy lets change, and no other', async () => {
    const domain = await accepting({ changeable_pcrs: [8, 9] });
    domain.node.set(8, 0xaa);
    expect((await domain.prove()).findings).toEqual([]);
    domain.node.set(4, 0xbb);
    expect((await domain.prove()).findings).toMatchObject([{ kind: 'pcr', pcr: 4, bank: 'sha256' }]);
    expect(domain.facts()).toMatchObject({
      Accepted: 'no; PCRs are shown as they are now',
      'PCR 4 (sha256)': expect.stringMatching(/^(bb)+ \(accepted was [0-9a-f]{64}\)$/) as string,
      'PCR 7 (sha256)': expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
  });

  it('is held to its banks one by one', async () => {
    const domain = await accepting();
    domain.node.set(2, 0xcc, 'sha1');
    expect((await domain.prove()).findings).toMatchObject([{ kind: 'pcr', pcr: 2, bank: 'sha1' }]);
  });

  it('is told of by facts', async () => {
    const domain = await accepting();
    expect(domain.facts()).toMatchObject({
      ...{ 'EK certificate': 'none; trusted by its hash', 'Secure Boot': 'on', Accepted: 'yes' },
      ...{ Resets: '7', 'Boot log': 'leads to the PCRs' },
    });
    expect(Object.keys(domain.facts())).not.toContain('Measured files');
  });
});

describe('policy', () => {
  it('names the entries of db that may vouch', async () => {
    const other = 'cd'.repeat(32);
    expect((await (await accepting({ db_authorities: [AUTHORITY] })).prove()).findings).toEqual([]);
    expect((await (await accepting({ db_authorities: [other] })).prove()).findings).toContainEqual(
      expect.objectContaining({ kind: 'secure_boot', after: AUTHORITY }),
    );
    const without = await accepting({ db_authorities: [AUTHORITY] }, (node) => {
      node.eventLog = undefined;
    });
    expect((await without.prove()).findings).toContainEqual(
      expect.objectContaining({
        kind: 'secure_boot',
        text: expect.stringContaining('what vouched for the boot loader cannot be proven') as string,
      }),
    );
  });

  it('names what PCR 14 may be', async () => {
    const value = on.quoted.get(14)?.toString('hex') ?? '';
    expect((await (await accepting({ pcr14: [value] })).prove()).findings).toEqual([]);
    expect((await (await accepting({ pcr14: ['ef'.repeat(32)] })).prove()).findings).toMatchObject([
      {
        kind: 'pcr',
        pcr: 14,
        bank: 'sha256',
        after: value,
        text: expect.stringContaining('policy.pcr14') as string,
      },
    ]);
  });

  it('lets golden sets judge what they name, and what was accepted judge the rest', async () => {
    const seven = on.quoted.get(7)?.toString('hex') ?? '';
    const golden = {
      web: { sha256: { 7: [seven], 4: ['aa'.repeat(32), on.quoted.get(4)?.toString('hex') ?? ''] } },
    };
    const domain = await accepting({ golden, event_log: 'optional' });
    expect((await domain.prove()).findings).toEqual([]);
    // Another value that the set allows; only the log does not lead there.
    domain.node.set(4, 0xaa);
    expect((await domain.prove()).findings).toMatchObject([{ kind: 'boot_log', pcr: 4 }]);
    domain.node.set(4, 0xab);
    expect((await domain.prove()).findings).toMatchObject([
      { kind: 'pcr', pcr: 4, text: expect.stringContaining('the nearest is web') as string },
    ]);
    domain.node.set(4, 0xaa);
    domain.node.set(3, 0xcc);
    expect((await domain.prove()).findings).toContainEqual(
      expect.objectContaining({
        kind: 'pcr',
        pcr: 3,
        text: expect.stringContaining('not what was accepted') as string,
      }),
    );
  });
});

describe('measured files', () => {
  const path = directory.join('allowed');
  const proven = imaEntries.slice(0, 19);
  const raw = (entries: readonly ImaEntry[]): Buffer => Buffer.concat(entries.map(rawEntry));
  const policy = { ima_allow_list_path: path, ima_policy_name: 'base' };
  const allow = (entries: readonly ImaEntry[]): void => {
    writeFileSync(path, entries.map(({ file }) => `${file?.digest ?? ''}  ${file?.path ?? ''}\n`).join(''));
  };
  const showing = (node: ClaimingNode, pieces = 100): void => {
    node.ima = (from) => raw(imaEntries.slice(from, from + pieces));
  };
  const extendedBy = (start: Buffer, entries: readonly ImaEntry[]): Buffer =>
    entries.reduce<Buffer>(
      (value, entry) => createHash('sha256').update(value).update(templateHash(entry, 'sha256')).digest(),
      start,
    );

  it('that are all allowed make a selector, and each proof shows those that are new', async () => {
    allow(imaEntries.slice(1));
    const domain = await accepting(policy, showing);
    const { findings, selectors } = await domain.prove();
    expect(findings).toEqual([]);
    expect(selectors).toContainEqual({ type: 'tpm', value: 'ima:policy:base' });
    expect(domain.node.challenges.map(({ imaFrom }) => imaFrom)).toEqual([19]);
    expect(domain.facts()['Measured files']).toBe('19 judged');
    const later = imaEntries.slice(19, 20);
    domain.node.values.get('sha256')?.set(10, extendedBy(on.quoted.get(10) ?? Buffer.alloc(32), later));
    const before = domain.record;
    expect((await domain.prove()).findings).toEqual([]);
    expect(domain.record).not.toBe(before);
    expect(domain.facts()['Measured files']).toBe('20 judged');
  });

  it('are shown in as many pieces as there are questions, and not in more', async () => {
    allow(imaEntries.slice(1));
    const domain = await accepting(policy, (node) => {
      showing(node);
    });
    domain.node.resetCount += 1;
    showing(domain.node, 7);
    expect((await domain.prove()).findings).toEqual([]);
    expect(domain.node.challenges.map(({ imaFrom }) => imaFrom)).toEqual([19, 0, 7, 14]);
    domain.node.resetCount += 1;
    showing(domain.node, 3);
    expect((await domain.prove()).findings).toMatchObject([
      { kind: 'ima', text: expect.stringContaining('too long to be shown in one proof') as string },
    ]);
  });

  it('that are not allowed are named, and judged again when the list changes', async () => {
    allow(proven.slice(1, 18));
    const domain = await accepting({ ...policy, changeable_pcrs: [0] }, showing);
    // What was accepted stays accepted, by this list.
    expect((await domain.prove()).findings).toEqual([]);
    allow(proven.slice(1, 17));
    await clock.advance(2_000);
    const { findings, selectors } = await domain.prove();
    expect(findings).toMatchObject(
      [17, 18].map((place) => ({
        kind: 'ima',
        text: expect.stringContaining(JSON.stringify(proven[place]?.file?.path)) as string,
      })),
    );
    expect(selectors.map(({ value }) => value)).not.toContain('ima:policy:base');
    allow(imaEntries.slice(1));
    await clock.advance(2_000);
    expect((await domain.prove()).findings).toEqual([]);
  });

  it('are missed where none are measured or shown', async () => {
    allow(imaEntries.slice(1));
    const domain = await accepting(policy, showing);
    domain.node.resetCount += 1;
    domain.node.ima = () => Buffer.alloc(0);
    domain.node.values.get('sha256')?.set(10, Buffer.alloc(32));
    expect((await domain.prove()).findings).toMatchObject([
      { kind: 'ima', text: expect.stringContaining('nothing was measured') as string },
    ]);
    domain.node.ima = undefined;
    expect((await domain.prove()).findings).toMatchObject([
      { kind: 'ima', text: expect.stringContaining('shows no list') as string },
    ]);
  });
});

function rawEntry({ templateDigest, templateData }: ImaEntry): Buffer {
  const uint32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const name = Buffer.from('ima-ng');
  const parts = [
    uint32(10),
    templateDigest,
    uint32(name.length),
    name,
    uint32(templateData.length),
    templateData,
  ];
  return Buffer.concat(parts);
}
