import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { readSshKeyLine } from '@bonafide/shared/crypto/ssh/authorized-keys';
import { parseSshCertificate, type SshCertificate } from '@bonafide/shared/crypto/ssh/ssh-certificate';
import { parseSshPrivateKey } from '@bonafide/shared/crypto/ssh/ssh-private-key';
import { signForSsh } from '@bonafide/shared/crypto/ssh/ssh-signature';
import {
  formatSshPopAnswer,
  formatSshPopEvidence,
  parseSshPopChallenge,
  sshPopSignedData,
} from '@bonafide/shared/node-attestation/sshpop-messages';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import type { KeyObject } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../store/open-store.js';
import type { Store } from '../../store/store.js';
import type { NodeAttestor, ProvenNode } from '../node-attestor.js';
import { sshpop } from './sshpop.js';

interface Host {
  readonly certificate: SshCertificate;
  readonly privateKey: KeyObject;
}

let directory: TemporaryDirectory;
let store: Store;
let count = 0;

beforeAll(async () => {
  directory = createTemporaryDirectory();
  store = await openStore({ path: ':memory:', log: silentLogger });
  await makeKey('ca', 'ed25519');
  await makeKey('stranger', 'ed25519');
});
afterAll(async () => {
  await store.close();
  directory.remove();
});

async function sshKeygen(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProcess('ssh-keygen', ['-q', ...args], { limitMs: 120_000 });
  if (code !== 0) throw new Error(`ssh-keygen ${args.join(' ')}: ${stderr}`);
}

const makeKey = (name: string, type: string, bits?: number): Promise<void> =>
  sshKeygen(
    '-t',
    type,
    ...(bits === undefined ? [] : ['-b', String(bits)]),
    '-N',
    '',
    '-f',
    directory.join(name),
  );

/** A key with a certificate that ssh-keygen makes. */
async function makeHost({
  ca = 'ca',
  type = 'ed25519',
  bits,
  options = ['-h', '-n', 'node7.example.org,alias'],
}: {
  readonly ca?: string;
  readonly type?: string;
  readonly bits?: number;
  readonly options?: readonly string[];
} = {}): Promise<Host> {
  const name = `host${(count += 1)}`;
  await makeKey(name, type, bits);
  await sshKeygen(
    '-s',
    directory.join(ca),
    '-I',
    'key of node 7',
    '-z',
    '42',
    ...options,
    directory.join(`${name}.pub`),
  );
  const line = await readFile(directory.join(`${name}-cert.pub`), 'utf8');
  return {
    certificate: parseSshCertificate(readSshKeyLine(line)),
    privateKey: parseSshPrivateKey(await readFile(directory.join(name), 'utf8')),
  };
}

async function create(config: object = {}): Promise<NodeAttestor> {
  const parsed = sshpop.configSchema.parse({ cert_authorities_path: directory.join('ca.pub'), ...config });
  const host = { clock: systemClock, log: silentLogger, store, signal: new AbortController().signal };
  return sshpop.create(parsed, { ...host, trustDomain: parseTrustDomain('example.org') });
}

type Answer = (challenge: Buffer) => Buffer;

function answerBy({ certificate, privateKey }: Host): Answer {
  return (message) => {
    const nonce = randomBytes(32);
    const data = sshPopSignedData(parseSshPopChallenge(message), nonce);
    return formatSshPopAnswer({ nonce, signature: signForSsh(certificate.keyType, privateKey, data) });
  };
}

function attest(
  attestor: NodeAttestor,
  host: Host,
  answer: Answer = answerBy(host),
  now = new Date(),
): Promise<ProvenNode> {
  return attestor.attest({
    payload: formatSshPopEvidence(host.certificate.blob),
    csrHash: Buffer.alloc(32),
    now,
    challenge: (data) => Promise.resolve(answer(data)),
    recall: () => Promise.resolve(undefined),
  });
}

const denied = { reason: 'permission_denied' };
const invalid = { reason: 'invalid_argument' };

describe('sshpop proves', () => {
  it.each([
    ['ed25519', undefined],
    ['ecdsa', 256],
    ['ecdsa', 384],
    ['ecdsa', 521],
    ['rsa', 2048],
  ])(
    "a host with a key of ssh-keygen's type %s, %s bits, and an authority of the same",
    async (type, bits) => {
      const ca = `ca-${type}-${bits ?? ''}`;
      await makeKey(ca, type, bits);
      const host = await makeHost({ ca, type, ...(bits === undefined ? {} : { bits }) });
      const line = await readFile(directory.join(`${ca}.pub`), 'utf8');
      const proven = await attest(await create({ cert_authorities: [line.trim()] }), host);
      expect(proven.agentId).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/sshpop\/[A-Za-z0-9_-]{43}$/);
      expect(proven).toMatchObject({ selectors: [], canReattest: true, hasConfiguredPath: false });
    },
    300_000,
  );

  it('a host by its name in the canonical domain', async () => {
    const host = await makeHost();
    const config = {
      canonical_domain: 'example.org',
      agent_path_template: '/{{ .Hostname }}/{{ .KeyId | nospace }}/{{ .Serial }}',
    };
    const { agentId } = await attest(await create(config), host);
    expect(agentId).toBe('spiffe://example.org/spire/agent/node7/keyofnode7/42');
    const template = 'static/{{ index .ValidPrincipals 1 }}';
    const aliased = await attest(await create({ agent_path_template: template }), host);
    expect(aliased.agentId).toBe('spiffe://example.org/spire/agent/static/alias');
  });

  it('the same host with a certificate that never ends, and up to its last second', async () => {
    const end = '20300101000000Z';
    const host = await makeHost({ options: ['-h', '-n', 'a', '-V', `20200101000000Z:${end}`] });
    const last = new Date('2029-12-31T23:59:59Z');
    const attestor = await create();
    await attest(attestor, host, answerBy(host), last);
    await expect(attest(attestor, host, answerBy(host), new Date('2030-01-01T00:00:00Z'))).rejects.toThrow(
      'has expired',
    );
    await expect(attest(attestor, host, answerBy(host), new Date('2019-12-31T23:59:59Z'))).rejects.toThrow(
      'not valid yet',
    );
  });
});

describe('sshpop refuses', () => {
  it.each([
    ['of a user', ['-n', 'node7.example.org'], 'is of a user'],
    ['without a principal', ['-h'], 'has no principal'],
    ['with a critical option', ['-h', '-n', 'a', '-O', 'critical:verify-required'], 'critical option'],
    ['of another domain', ['-h', '-n', 'node7.example.com'], 'is not in the domain example.org'],
    ['of a domain that only ends alike', ['-h', '-n', 'node7.badexample.org'], 'is not in the domain'],
    ['of the domain itself', ['-h', '-n', '.example.org'], 'is not in the domain'],
    ['whose second principal is in the domain', ['-h', '-n', 'a.org,b.example.org'], 'is not in the domain'],
  ])('a certificate %s', async (_what, options, message) => {
    const attestor = await create({ canonical_domain: 'example.org' });
    await expect(attest(attestor, await makeHost({ options }))).rejects.toThrow(message);
  });

  it('a certificate of another authority, and one that only names ours', async () => {
    const attestor = await create();
    const strange = await makeHost({ ca: 'stranger' });
    await expect(attest(attestor, strange)).rejects.toThrow(
      'not signed by any of the configured authorities',
    );
    const ours = (await makeHost()).certificate.authority.blob;
    const blob = Buffer.from(strange.certificate.blob);
    blob.set(ours, blob.indexOf(strange.certificate.authority.blob));
    const forged = { ...strange, certificate: parseSshCertificate(blob) };
    await expect(attest(attestor, forged)).rejects.toThrow('the signature of the SSH certificate is wrong');
  });

  it('a certificate with any byte changed', async () => {
    const attestor = await create();
    const host = await makeHost();
    for (let index = 0; index < host.certificate.blob.length; index += 3) {
      const blob = Buffer.from(host.certificate.blob);
      blob[index] = (blob[index] ?? 0) ^ 0x01;
      const attempt = attestor.attest({
        payload: formatSshPopEvidence(blob),
        csrHash: Buffer.alloc(32),
        now: new Date(),
        challenge: (data) => Promise.resolve(answerBy(host)(data)),
        recall: () => Promise.resolve(undefined),
      });
      await expect(attempt, `byte ${index}`).rejects.toHaveProperty('reason');
    }
  });

  it('another key, another nonce, and an answer that was good once', async () => {
    const attestor = await create();
    const [host, other] = [await makeHost(), await makeHost()];
    await expect(attest(attestor, host, answerBy(other))).rejects.toMatchObject(denied);
    const stale: Answer = () =>
      answerBy(host)(Buffer.from(JSON.stringify({ Nonce: randomBytes(32).toString('base64') })));
    await expect(attest(attestor, host, stale)).rejects.toMatchObject(denied);
    let seen: Buffer = Buffer.alloc(0);
    await attest(attestor, host, (message) => (seen = answerBy(host)(message)));
    await expect(attest(attestor, host, () => seen)).rejects.toMatchObject(denied);
  });

  it('signatures of RSA keys over SHA-1', async () => {
    const host = await makeHost({ type: 'rsa', bits: 2048 });
    const weak: Answer = (message) => {
      const answer = JSON.parse(answerBy(host)(message).toString()) as { Signature: { Format: string } };
      answer.Signature.Format = 'ssh-rsa';
      return Buffer.from(JSON.stringify(answer));
    };
    await expect(attest(await create(), host, weak)).rejects.toThrow(
      'accepted of RSA keys are rsa-sha2-256 and rsa-sha2-512',
    );
    const certificate = {
      ...host,
      certificate: (await makeHost({ type: 'rsa', bits: 1024 }).catch(() => undefined))?.certificate,
    };
    expect(certificate.certificate).toBeUndefined();
  });

  it('a plain key, bytes after a certificate, and one cut short', async () => {
    const attestor = await create();
    const { certificate } = await makeHost();
    for (const blob of [
      certificate.authority.blob,
      Buffer.concat([certificate.blob, Buffer.alloc(1)]),
      ...[0, 3, 40, 200, certificate.blob.length - 1].map((length) => certificate.blob.subarray(0, length)),
      Buffer.alloc(20_000),
    ]) {
      const payload = formatSshPopEvidence(blob);
      const challenge = (): Promise<Buffer> => Promise.reject(new Error('asked'));
      const recall = (): Promise<undefined> => Promise.resolve(undefined);
      const attempt = attestor.attest({
        payload,
        csrHash: Buffer.alloc(32),
        now: new Date(),
        challenge,
        recall,
      });
      await expect(attempt).rejects.toMatchObject(invalid);
    }
  });

  it.each(['', '{}', '{"Nonce":"AAAA","Signature":null}', '[]'])('the answer %j', async (answer) => {
    await expect(attest(await create(), await makeHost(), () => Buffer.from(answer))).rejects.toMatchObject(
      invalid,
    );
  });
});

describe("sshpop's configuration", () => {
  it.each([
    [{}, 'cert_authorities'],
    [{ cert_authorities: ['hello'] }, 'cert_authorities'],
    [{ cert_authorities: ['ssh-dss AAAAB3NzaC1kc3MAAACB'] }, 'cert_authorities'],
    [{ cert_authorities_path: 'a', canonical_domain: '.example.org' }, 'canonical_domain'],
    [{ cert_authorities_path: 'a', agent_path_template: '/{{ .Nobody }}' }, 'agent_path_template'],
  ])('refuses %j', (config, named) => {
    const { error } = sshpop.configSchema.safeParse(config);
    expect(JSON.stringify(error?.issues)).toContain(named);
  });

  it('takes lines with options, comments and a name', async () => {
    const line = (await readFile(directory.join('ca.pub'), 'utf8')).trim();
    const path = directory.join('authorities');
    await writeFile(path, `# ours\n\ncert-authority,principals="a b" ${line}\n`);
    await attest(await create({ cert_authorities_path: path }), await makeHost());
    await writeFile(directory.join('none'), '# nobody\n');
    await expect(create({ cert_authorities_path: directory.join('none') })).rejects.toThrow('no SSH key');
  });
});
