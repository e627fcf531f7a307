import { randomBytes } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { derElement, derSequence, derUnsignedInteger } from '@bonafide/shared/crypto/der/der-writer';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { provePossession } from '@bonafide/shared/crypto/possession-proof';
import {
  formatX509PopAnswer,
  formatX509PopEvidence,
  parseX509PopChallenge,
} from '@bonafide/shared/node-attestation/x509pop-messages';
import { formatSelector } from '@bonafide/shared/registration/selector';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../store/open-store.js';
import type { Store } from '../../store/store.js';
import type { NodeAttestor, ProvenNode } from '../node-attestor.js';
import { x509pop } from './x509pop.js';

const trustDomain = parseTrustDomain('example.org');
const authority = await TestAuthority.create('example.org');
const root = await createTestParty({ name: 'root', isCa: true });
const middle = await createTestParty({ name: 'middle', isCa: true, issuer: root });
const node = await createTestParty({
  name: { commonName: 'node 7', organization: ['Acme'] },
  issuer: middle,
  serialNumber: Buffer.from('0a1b2c3d', 'hex'),
  uriNames: [
    'x509pop://example.org/env/prod/eu%20west/',
    'x509pop://example.org/lonely',
    'x509pop://other.org/env/test',
    'x509pop://example.org/bad/a%0ab',
    'https://example.org/x/y',
  ],
});

let directory: TemporaryDirectory;
let store: Store;
let caPath: string;

const pem = (...parties: readonly TestParty[]): string =>
  parties.map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join('');

beforeAll(async () => {
  directory = createTemporaryDirectory();
  caPath = directory.join('ca.pem');
  await writeFile(caPath, pem(root));
  store = await openStore({ path: ':memory:', log: silentLogger });
  await store.write((transaction) => transaction.bundles.put(authority.bundle()));
});
afterAll(async () => {
  await store.close();
  directory.remove();
});

async function create(config: object = { ca_bundle_path: caPath }): Promise<NodeAttestor> {
  const host = {
    trustDomain,
    clock: systemClock,
    log: silentLogger,
    store,
    signal: new AbortController().signal,
  };
  return x509pop.create(x509pop.configSchema.parse(config), host);
}

type Answer = (challenge: Buffer) => Buffer;

/** As the agent's half answers. */
function answerBy({ privateKey }: Pick<TestParty, 'privateKey'>): Answer {
  return (message) => {
    const challenge = parseX509PopChallenge(message);
    const nonce = randomBytes(32);
    return formatX509PopAnswer({
      nonce,
      proof: provePossession(privateKey, Buffer.concat([challenge.nonce, nonce])),
    });
  };
}

interface Attempt {
  readonly chain?: readonly Buffer[];
  readonly payload?: Buffer;
  readonly answer?: Answer;
}

function attest(attestor: NodeAttestor, attempt: Attempt = {}): Promise<ProvenNode> {
  const { chain = [node.certificate, middle.certificate], answer = answerBy(node) } = attempt;
  return attestor.attest({
    payload: attempt.payload ?? formatX509PopEvidence(chain),
    csrHash: Buffer.alloc(32),
    now: new Date(),
    challenge: (data) => Promise.resolve(answer(data)),
    recall: () => Promise.resolve(undefined),
  });
}

describe('x509pop proves', () => {
  it("a node by its certificate and key, with SPIRE's ID and selectors", async () => {
    const proven = await attest(await create());
    expect(proven.agentId).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/x509pop\/[0-9a-f]{40}$/);
    expect(proven).toMatchObject({ canReattest: true, hasConfiguredPath: false });
    const fingerprint = expect.stringMatching(/^x509pop:ca:fingerprint:[0-9a-f]{40}$/) as string;
    expect(proven.selectors.map(formatSelector)).toEqual([
      'x509pop:subject:cn:node 7',
      fingerprint,
      fingerprint,
      'x509pop:serialnumber:0a1b2c3d',
      'x509pop:san:env:prod/eu west',
    ]);
  });

  it.each(['rsa-2048', 'ec-p384'] as const)('a node with a key of type %s', async (keyType) => {
    const other = await createTestParty({ name: 'other', issuer: root, keyType });
    const proven = await attest(await create(), { chain: [other.certificate], answer: answerBy(other) });
    expect(proven.selectors.map(formatSelector)).toContain('x509pop:subject:cn:other');
  });

  it('a node under the path of a template', async () => {
    const config = { ca_bundle_paths: [caPath] };
    const template =
      '/{{ index .Subject.Organization 0 | lower }}/{{ .SerialNumberHex }}/{{ .URISanSelectors.env | base | nospace }}';
    const proven = await attest(await create({ ...config, agent_path_template: template }));
    expect(proven.agentId).toBe('spiffe://example.org/spire/agent/acme/0a1b2c3d/euwest');
    expect(proven.hasConfiguredPath).toBe(true);
    const climbing = await createTestParty({ name: '../../server', issuer: root });
    await expect(
      attest(await create({ ...config, agent_path_template: '/cn/{{ .Subject.CommonName }}' }), {
        chain: [climbing.certificate],
        answer: answerBy(climbing),
      }),
    ).rejects.toThrow("has a '..' segment");
  });

  it('a node by an SVID of this trust domain, in the mode spiffe', async () => {
    const svid = await authority.issueX509Svid('/spire-exchange/rack/host');
    const exchange = { chain: svid.certificateChain, answer: answerBy(svid) };
    const proven = await attest(await create({ mode: 'spiffe' }), exchange);
    expect(proven.agentId).toBe('spiffe://example.org/spire/agent/x509pop/rack/host');
    for (const config of [
      { svid_prefix: '/spire-exchange/rack' },
      { spiffe_prefix: '/spire-exchange/rack/' },
    ]) {
      const { agentId } = await attest(await create({ mode: 'spiffe', ...config }), exchange);
      expect(agentId).toBe('spiffe://example.org/spire/agent/x509pop/host');
    }
    const any = await attest(await create({ mode: 'spiffe', svid_prefix: '' }), exchange);
    expect(any.agentId).toBe('spiffe://example.org/spire/agent/x509pop/spire-exchange/rack/host');
  });

  it('by authorities that were changed since', async () => {
    const path = directory.join('changing.pem');
    const stranger = await createTestParty({ name: 'stranger', isCa: true });
    await writeFile(path, pem(stranger));
    const attestor = await create({ ca_bundle_path: path });
    await expect(attest(attestor)).rejects.toThrow('does not lead to any');
    await writeFile(directory.join('next.pem'), pem(stranger, root));
    await rename(directory.join('next.pem'), path);
    await waitFor(
      'the new authorities',
      () =>
        attest(attestor).then(
          () => true,
          () => false,
        ),
      { limitMs: 150_000 },
    );
  });
});

describe('x509pop refuses', () => {
  const denied = { reason: 'permission_denied' };
  const invalid = { reason: 'invalid_argument' };

  it('a signature by another key, and one over another nonce', async () => {
    const attestor = await create();
    const other = await createTestParty({ name: 'other' });
    await expect(attest(attestor, { answer: answerBy(other) })).rejects.toMatchObject(denied);
    const elsewhere: Answer = (message) => {
      const { kind } = parseX509PopChallenge(message);
      expect(kind).toBe('ec');
      const nonce = randomBytes(32);
      return formatX509PopAnswer({
        nonce,
        proof: provePossession(node.privateKey, Buffer.concat([randomBytes(32), nonce])),
      });
    };
    await expect(attest(attestor, { answer: elsewhere })).rejects.toMatchObject(denied);
  });

  it('an answer that was good once', async () => {
    const attestor = await create();
    let seen: Buffer = Buffer.alloc(0);
    await attest(attestor, { answer: (message) => (seen = answerBy(node)(message)) });
    await expect(attest(attestor, { answer: () => seen })).rejects.toMatchObject(denied);
  });

  it('an answer by another kind of key than the certificate has', async () => {
    const rsa = await createTestParty({ name: 'rsa', issuer: root, keyType: 'rsa-2048' });
    await expect(attest(await create(), { answer: answerBy(rsa) })).rejects.toMatchObject(denied);
  });

  it.each([
    [
      'without digitalSignature',
      { keyUsages: ['keyEncipherment'] as const },
      'lacks the key usage digitalSignature',
    ],
    ['without any key usage', { keyUsages: [] }, 'lacks the key usage digitalSignature'],
    ['that has expired', { notAfter: new Date(Date.now() - 1000) }, 'expired at'],
    ['whose issuer is nobody', { issuer: undefined }, 'does not lead to any'],
  ])('a certificate %s', async (_what, wish, message) => {
    const wrong = await createTestParty({ name: 'wrong', issuer: root, ...wish });
    const attempt = attest(await create(), { chain: [wrong.certificate], answer: answerBy(wrong) });
    await expect(attempt).rejects.toThrow(message);
  });

  it('a certificate that a node has issued for itself', async () => {
    const own = await createTestParty({ name: 'own', issuer: node });
    const chain = [own.certificate, node.certificate, middle.certificate];
    await expect(attest(await create(), { chain, answer: answerBy(own) })).rejects.toThrow(
      'is not a signing certificate',
    );
  });

  it('an RSA key of 16,384 bits, at either place, and one above what is set', async () => {
    const modulus = Buffer.concat([Buffer.from([0xff]), randomBytes(2046), Buffer.from([1])]);
    const numbers = derSequence(derUnsignedInteger(modulus), derUnsignedInteger(Buffer.from([1, 0, 1])));
    const algorithm = Buffer.from('300d06092a864886f70d0101010500', 'hex');
    const spki = derSequence(algorithm, derElement(0x03, Buffer.concat([Buffer.alloc(1), numbers])));
    const huge = await createTestParty({ name: 'huge', issuer: root, spki });
    for (const chain of [[huge.certificate], [node.certificate, huge.certificate]]) {
      await expect(attest(await create(), { chain })).rejects.toThrow('RSA key of 16384 bits');
    }
    const rsa = await createTestParty({ name: 'rsa', issuer: root, keyType: 'rsa-2048' });
    const attestor = await create({ ca_bundle_path: caPath, max_rsa_key_size: 2047 });
    await expect(attest(attestor, { chain: [rsa.certificate] })).rejects.toThrow('RSA key of 2048 bits');
  });

  it('more intermediates than are allowed', async () => {
    const chain = [node, middle, middle, middle, middle, middle].map(({ certificate }) => certificate);
    await expect(attest(await create(), { chain })).rejects.toThrow(
      '5 intermediate certificates; accepted are 4',
    );
  });

  it('SVIDs of another prefix, of another trust domain, or of nobody, in the mode spiffe', async () => {
    const attestor = await create({ mode: 'spiffe' });
    const other = await TestAuthority.create('other.org');
    for (const [issuer, path] of [
      [authority, '/spire-exchanges/host'],
      [authority, '/web'],
      [authority, '/spire-exchange'],
      [other, '/spire-exchange/host'],
      [await TestAuthority.create('example.org'), '/spire-exchange/host'],
    ] as const) {
      const svid = await issuer.issueX509Svid(path);
      const attempt = attest(attestor, { chain: svid.certificateChain, answer: answerBy(svid) });
      await expect(attempt, path).rejects.toMatchObject(denied);
    }
    await expect(attest(attestor)).rejects.toMatchObject(denied);
  });

  it.each([
    ['', 'no JSON'],
    ['{}', 'no certificates'],
    ['{"certificates":[]}', 'an empty chain'],
    ['{"certificates":["!"]}', 'no base64'],
    ['{"certificates":["AAAA"]}', 'no certificate'],
    ['{"certificates":["AAAA"],"more":1}', 'an unknown field'],
    [JSON.stringify({ certificates: Array.from({ length: 33 }, () => 'AAAA') }), 'too many'],
    [JSON.stringify({ certificates: ['A'.repeat(400_000)] }), 'too much'],
  ])('evidence %j: %s', async (payload) => {
    await expect(attest(await create(), { payload: Buffer.from(payload) })).rejects.toMatchObject(invalid);
  });

  it.each([
    '{}',
    'null',
    '{"rsa_signature":null,"ecdsa_signature":null}',
    '{"ecdsa_signature":{"nonce":"AAAA","r":"AQ==","s":"AQ=="}}',
    `{"ecdsa_signature":{"nonce":"${Buffer.alloc(32).toString('base64')}","r":"${Buffer.alloc(67).toString('base64')}","s":"AQ=="}}`,
    `{"ecdsa_signature":{"nonce":"${Buffer.alloc(32).toString('base64')}","r":"","s":""}}`,
  ])('the answer %s', async (answer) => {
    await expect(attest(await create(), { answer: () => Buffer.from(answer) })).rejects.toMatchObject(
      invalid,
    );
  });
});

describe("x509pop's configuration", () => {
  it.each([
    [{}, 'ca_bundle_path'],
    [{ ca_bundle_path: 'a', ca_bundle_paths: ['b'] }, 'ca_bundle_path'],
    [{ mode: 'spiffe', ca_bundle_path: 'a' }, 'mode'],
    [{ mode: 'other', ca_bundle_path: 'a' }, 'mode'],
    [{ mode: 'spiffe', svid_prefix: 'no-slash' }, 'svid_prefix'],
    [{ ca_bundle_path: 'a', agent_path_template: '/{{ .Nobody }}' }, 'agent_path_template'],
    [{ ca_bundle_path: 'a', max_rsa_key_size: 16_384 }, 'max_rsa_key_size'],
    [{ ca_bundle_path: 'a', max_intermediates: 0 }, 'max_intermediates'],
    [{ ca_bundle_path: 'a', unknown: 1 }, 'unknown'],
  ])('refuses %j', (config, named) => {
    const { error } = x509pop.configSchema.safeParse(config);
    expect(JSON.stringify(error?.issues)).toContain(named);
  });

  it('names a file that cannot be used', async () => {
    await expect(create({ ca_bundle_path: directory.join('absent.pem') })).rejects.toThrow('absent.pem');
    await writeFile(directory.join('broken.pem'), 'hello');
    await expect(create({ ca_bundle_path: directory.join('broken.pem') })).rejects.toThrow(
      /trust bundle .*broken\.pem/,
    );
  });
});
