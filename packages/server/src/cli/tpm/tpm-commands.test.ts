import { readFileSync, writeFileSync } from 'node:fs';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { tpmConfigSchema } from '../../node-attestation/tpm/tpm-config.js';
import { TpmPolicy } from '../../node-attestation/tpm/tpm-policy.js';
import { runServerProgram } from '../program.js';

const TPM = 'bonafide.attestation.v1.TpmEnrollment';
const [HASH, OTHER] = ['7d', 'a4'].map((byte) => byte.repeat(32)) as [string, string];
const ENROLLED = { ekHash: HASH, note: 'rack 7', enrolledAt: 1_683_738_216_789 };
const HASH_FLAG = ['--ek-hash', HASH];

async function run(answers: Readonly<Record<string, (request: object) => object>>, ...argv: string[]) {
  using directory = createTemporaryDirectory();
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, { [TPM]: answers });
  const host = createRecordedHost();
  const code = await runServerProgram(['tpm', ...argv, '--socket-path', socketPath], host);
  const { stdout, stderr } = host.printed;
  return { code, stdout, stderr, calls: server.calls.map(({ request }) => request) };
}

const json = (text: string): unknown => JSON.parse(text);

describe('tpm enroll', () => {
  it('says what was enrolled', async () => {
    const answers = { EnrollTpm: () => ENROLLED };
    const shown = await run(answers, 'enroll', '--ek-hash', HASH.toUpperCase(), '--note', 'rack 7');
    expect(shown).toMatchObject({ code: 0, stdout: `TPM enrolled: ${HASH}\n` });
    expect(shown.calls).toMatchObject([{ ekHash: HASH, note: 'rack 7' }]);
    const asJson = await run(answers, 'enroll', ...HASH_FLAG, '--output', 'json');
    expect(json(asJson.stdout)).toMatchObject({ ek_hash: HASH, note: 'rack 7' });
  });

  it('asks for a hash that is one', async () => {
    const missing = await run({}, 'enroll');
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).toContain(
      'an EK hash is required; add --ek-hash with what bonafide-agent tpm info',
    );
    const wrong = await run({}, 'enroll', '--ek-hash', HASH.slice(1));
    expect(wrong.stderr).toContain('expected 64 hexadecimal digits');
    expect(wrong.calls).toEqual([]);
  });
});

describe('tpm list', () => {
  it('shows every page', async () => {
    const answers = {
      ListEnrolledTpms: (request: object) =>
        'pageToken' in request && request.pageToken === 'next'
          ? { tpms: [{ ...ENROLLED, ekHash: OTHER, note: '' }], nextPageToken: '' }
          : { tpms: [ENROLLED], nextPageToken: 'next' },
    };
    const { stdout } = await run(answers, 'list');
    expect(stdout).toBe(
      [
        'Found 2 enrolled TPMs\n',
        `EK hash     : ${HASH}`,
        'Enrolled at : 2023-05-10T17:03:36.789Z',
        'Note        : rack 7\n',
        `EK hash     : ${OTHER}`,
        'Enrolled at : 2023-05-10T17:03:36.789Z\n',
      ].join('\n'),
    );
    const asJson = await run(answers, 'list', '--output', 'json');
    expect(json(asJson.stdout)).toMatchObject({ tpms: [{ ek_hash: HASH }, { ek_hash: OTHER }] });
  });

  it('ends when the server repeats itself', async () => {
    const answers = { ListEnrolledTpms: () => ({ tpms: [ENROLLED], nextPageToken: 'same' }) };
    const { code, stderr } = await run(answers, 'list');
    expect(code).not.toBe(0);
    expect(stderr).toContain('the same page twice');
  });
});

describe('tpm remove, replace and rekey', () => {
  it('say what was done', async () => {
    const removed = await run({ RemoveEnrolledTpm: () => ({}) }, 'remove', ...HASH_FLAG);
    expect(removed.stdout).toBe('TPM removed; its agent, if it had one, is banned\n');
    const replace = { ReplaceTpm: () => ({ movedEntries: 3 }) };
    const replaced = await run(replace, 'replace', '--old', HASH, '--new', OTHER);
    expect(replaced.stdout).toBe('TPM replaced; 3 entries moved to the new one\n');
    expect(replaced.calls).toMatchObject([{ oldEkHash: HASH, newEkHash: OTHER }]);
    const rekeyed = await run({ RekeyTpm: () => ({}) }, 'rekey', ...HASH_FLAG);
    expect(rekeyed.stdout).toContain('the next attestation of this TPM sets it anew');
  });

  it('say it in JSON', async () => {
    const asJson = ['--output', 'json'];
    const removed = await run({ RemoveEnrolledTpm: () => ({}) }, 'remove', ...HASH_FLAG, ...asJson);
    expect(json(removed.stdout)).toEqual({});
    const replace = { ReplaceTpm: () => ({ movedEntries: 1 }) };
    const replaced = await run(replace, 'replace', '--old', HASH, '--new', OTHER, ...asJson);
    expect(json(replaced.stdout)).toEqual({ moved_entries: 1 });
    const rekeyed = await run({ RekeyTpm: () => ({}) }, 'rekey', ...HASH_FLAG, ...asJson);
    expect(json(rekeyed.stdout)).toEqual({});
  });

  it('name the flag that is missing', async () => {
    expect((await run({}, 'replace', '--old', HASH)).stderr).toContain('add --new');
    expect((await run({}, 'replace', '--new', HASH)).stderr).toContain('add --old');
    expect((await run({}, 'remove')).stderr).toContain('add --ek-hash');
    expect((await run({}, 'rekey')).stderr).toContain('add --ek-hash');
  });
});

describe('tpm baseline', () => {
  const digits = '1'.repeat(64);
  const pcrs = [
    { bank: 'sha1', pcr: 7, digest: '2'.repeat(40) },
    { bank: 'sha256', pcr: 4, digest: 'ab'.repeat(32) },
    // Of digits alone: unquoted, YAML would read it as a number.
    { bank: 'sha256', pcr: 7, digest: digits },
  ];
  const answers = { GetBaseline: () => ({ pcrs, secureBoot: 'true', dbAuthorities: [OTHER] }) };
  const argv = ['baseline', ...HASH_FLAG, '--name', 'web-2030-04'];

  it('prints a golden set that the policy reads, as it was shown', async () => {
    using directory = createTemporaryDirectory();
    const { stdout } = await run(answers, ...argv);
    expect(stdout).toContain('# Secure Boot: on\n');
    expect(stdout).toContain(`# db authority: ${OTHER}\n`);
    writeFileSync(directory.join('web.yaml'), stdout);
    const config = { ek_enrollment: true, policy: { golden_path: directory.path } };
    const { policy } = tpmConfigSchema.parse(config);
    const { golden } = await (
      await TpmPolicy.open(policy, { clock: new FakeClock(), log: silentLogger })
    ).current();
    const values = new Map([
      [4, new Set(['ab'.repeat(32)])],
      [7, new Set([digits])],
    ]);
    expect(golden).toEqual(new Map([['web-2030-04', new Map([['sha256', values]])]]));
    expect(readFileSync(directory.join('web.yaml'), 'utf8')).not.toContain('sha1');
  });

  it('prints some of the PCRs, or all in JSON', async () => {
    const { stdout } = await run(answers, ...argv, '--pcr', '7');
    expect(stdout).toContain(digits);
    expect(stdout).not.toContain('ab'.repeat(32));
    const asJson = await run(answers, ...argv, '--output', 'json');
    expect(json(asJson.stdout)).toMatchObject({ pcrs: [{ bank: 'sha1' }, { pcr: 4 }, { pcr: 7 }] });
  });

  it('asks for a name, and for PCRs that were shown', async () => {
    expect((await run(answers, 'baseline', ...HASH_FLAG)).stderr).toContain('add --name');
    expect((await run(answers, ...argv, '--pcr', '9')).stderr).toContain('showed none of these PCRs');
    expect((await run(answers, ...argv, '--pcr', '16')).code).not.toBe(0);
  });
});
