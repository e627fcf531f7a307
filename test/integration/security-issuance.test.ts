import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const SVID = 'spire.api.server.svid.v1.SVID';
const HOUR_SECONDS = 3600;

interface Outcome {
  readonly code: number | undefined;
  readonly message: string | undefined;
  readonly leaf: X509Certificate | undefined;
}

let server: InProcessServer;
let agent: Attested;
let entryId: string;
let everything: Buffer;

describe.each([0, 2])('with %i signing threads', (signingThreads) => {
  beforeAll(async () => {
    server = await InProcessServer.start({
      config: { server: { ca_ttl: '24h', experimental: { signing_threads: signingThreads } } },
    });
    await waitFor('the threads to be ready', () => readyThreads() === signingThreads, { limitMs: 100_000 });
    agent = await server.attestNew();
    entryId = await server.createEntry(agent.spiffeId, '/web', {
      x509SvidTtl: 60,
      dnsNames: ['web.example.org'],
    });
    everything = opensslCsr(
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      ...['-subj', '/C=XX/O=SPIRE/CN=spire-server'],
      ...[
        '-addext',
        'subjectAltName=URI:spiffe://example.org/spire/server,DNS:bank.example,IP:10.0.0.1,email:root@bank',
      ],
      ...['-addext', 'basicConstraints=critical,CA:TRUE,pathlen:5'],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature'],
      ...['-addext', 'extendedKeyUsage=codeSigning'],
    );
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  function readyThreads(): number {
    return (
      readFileSync(server.directory.join('server.log'), 'utf8').split('a signing thread is ready').length - 1
    );
  }

  /** DER of what openssl makes of the arguments; its key is thrown away. */
  function opensslCsr(...args: readonly string[]): Buffer {
    using directory = createTemporaryDirectory();
    const files = ['-out', directory.join('csr.pem'), '-keyout', directory.join('key.pem')];
    execFileSync('openssl', ['req', '-new', '-nodes', ...files, ...args], { stdio: 'pipe' });
    const text = execFileSync('openssl', ['req', '-in', directory.join('csr.pem')], { encoding: 'utf8' });
    const [der] = decodePem('CERTIFICATE REQUEST', text);
    if (der === undefined) throw new Error(`openssl made no CSR: ${text}`);
    return der;
  }

  async function newCsr(): Promise<Buffer> {
    return createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
  }

  async function sign(id: string, csr: Buffer, by = agent, on = server): Promise<Outcome> {
    const { results } = await callUnary(await on.remote(SVID, by), 'BatchNewX509SVID', {
      params: [{ entryId: id, csr }],
    });
    const [result] = results;
    const [der] = result?.svid?.certChain ?? [];
    return {
      code: result?.status?.code,
      message: result?.status?.message,
      leaf: der === undefined ? undefined : parseX509Certificate(der),
    };
  }

  function expectModestLeaf(leaf: X509Certificate | undefined): void {
    expect(leaf).toMatchObject({
      isCa: false,
      keyUsages: new Set(['digitalSignature']),
      extendedKeyUsages: new Set([OID.serverAuth, OID.clientAuth]),
    });
  }

  describe('a CSR that asks for everything (invariant 1)', () => {
    it('gets an agent what its entry says and nothing else', async () => {
      const { leaf } = await sign(entryId, everything);
      expectModestLeaf(leaf);
      expect(leaf).toMatchObject({ uriNames: ['spiffe://example.org/web'], dnsNames: ['web.example.org'] });
      for (const wish of ['bank.example', 'root@bank', 'spire-server', 'spire/server']) {
        expect(leaf?.der.includes(wish)).toBe(false);
      }
    });

    it('gets an agent that renews its SVID its own ID and nothing else', async () => {
      const renewing = await server.attestNew();
      const client = await server.remote(AGENT, renewing);
      const { svid } = await callUnary(client, 'RenewAgent', { params: { csr: everything } });
      const leaf = parseX509Certificate(svid?.certChain[0] ?? Buffer.alloc(0));
      expectModestLeaf(leaf);
      expect(leaf).toMatchObject({ uriNames: [renewing.spiffeId], dnsNames: [] });
    });

    it('gets an operator names of workloads, and never an authority', async () => {
      const client = server.local(SVID);
      await expect(callUnary(client, 'MintX509SVID', { csr: everything })).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
      const csr = opensslCsr(
        ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', '/CN=x'],
        ...['-addext', 'subjectAltName=URI:spiffe://example.org/minted,DNS:minted.example.org'],
        ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'],
      );
      const { svid } = await callUnary(client, 'MintX509SVID', { csr });
      const leaf = parseX509Certificate(svid?.certChain[0] ?? Buffer.alloc(0));
      expectModestLeaf(leaf);
      expect(leaf.uriNames).toEqual(['spiffe://example.org/minted']);
    });

    it.each([
      ['a P-521 key', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521']],
      ['a secp256k1 key', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1']],
      ['an Ed25519 key', ['-newkey', 'ed25519']],
      ['an RSA key of 1024 bits', ['-newkey', 'rsa:1024']],
    ])('gets nothing for %s, and is told what would be accepted', async (_name, key) => {
      const csr = opensslCsr(
        ...key,
        '-subj',
        '/CN=x',
        '-addext',
        'subjectAltName=URI:spiffe://example.org/web',
      );
      const signed = await sign(entryId, csr);
      expect([signed.code, signed.leaf]).toEqual([3, undefined]);
      expect(signed.message).toContain('accepted are');
      const renewal = callUnary(await server.remote(AGENT, agent), 'RenewAgent', { params: { csr } });
      await expect(renewal).rejects.toMatchObject({ reason: 'invalid_argument' });
      await expect(callUnary(server.local(SVID), 'MintX509SVID', { csr })).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    });
  });

  describe('the life of an SVID (invariant 1)', () => {
    it('is what the entry says, not what anybody asks for', async () => {
      const before = unixSeconds(new Date());
      const { leaf } = await sign(entryId, await newCsr());
      const endSeconds = unixSeconds(leaf?.notAfter ?? new Date(0));
      expect(endSeconds).toBeGreaterThanOrEqual(before + 59);
      expect(endSeconds).toBeLessThanOrEqual(unixSeconds(new Date()) + 60);
    });

    it('ends with the authority at the latest, for entries, operators and agents', async () => {
      const { x509Authorities } = await callUnary(server.local(BUNDLE), 'GetBundle', {});
      const [authority] = x509Authorities.map(({ asn1 }) => parseX509Certificate(asn1));
      const longest = 2 ** 31 - 1;
      const id = await server.createEntry(agent.spiffeId, '/for-ever', { x509SvidTtl: longest });
      const { leaf } = await sign(id, await newCsr());
      expect(leaf?.notAfter).toEqual(authority?.notAfter);
      const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'), {
        uriNames: ['spiffe://example.org/for-ever'],
      });
      const { svid } = await callUnary(server.local(SVID), 'MintX509SVID', { csr, ttl: longest });
      expect(parseX509Certificate(svid?.certChain[0] ?? Buffer.alloc(0)).notAfter).toEqual(
        authority?.notAfter,
      );
      await using brief = await InProcessServer.start({
        config: { server: { ca_ttl: '1h', agent_ttl: '1000h', default_x509_svid_ttl: '1000h' } },
      });
      const short = await brief.attestNew();
      const end = parseX509Certificate(short.certificateChain[0] ?? Buffer.alloc(0)).notAfter;
      expect(unixSeconds(end)).toBeLessThanOrEqual(unixSeconds(new Date()) + HOUR_SECONDS);
      const web = await brief.createEntry(short.spiffeId, '/web');
      const byDefault = (await sign(web, await newCsr(), short, brief)).leaf?.notAfter ?? new Date(0);
      expect(unixSeconds(byDefault)).toBeLessThanOrEqual(unixSeconds(new Date()) + HOUR_SECONDS);
    });
  });

  describe('an agent (invariant 1)', () => {
    const REFUSED: Outcome = { code: 5, message: 'entry not found or not authorized', leaf: undefined };

    it('gets nothing for the entries of others, its own parent, or one that only looks like its own', async () => {
      const other = await server.attestNew();
      const others = [
        await server.createEntry(other.spiffeId, '/theirs'),
        await server.createEntry(`${agent.spiffeId}/below`, '/below'),
        await server.createEntry('spiffe://example.org/spire/server', '/of-the-server'),
        await server.createEntry('spiffe://example.org/rack', '/of-a-rack'),
      ];
      for (const id of others) expect(await sign(id, await newCsr())).toEqual(REFUSED);
      expect((await sign(others[0] ?? '', await newCsr(), other)).leaf?.uriNames).toEqual([
        'spiffe://example.org/theirs',
      ]);
    });

    it('gets nothing for an entry that was deleted or given to another a moment ago, however it hurries', async () => {
      const csr = await newCsr();
      const client = await server.remote(SVID, agent);
      const operator = server.local(ENTRY);
      for (const path of ['/deleted', '/moved']) {
        const id = await server.createEntry(agent.spiffeId, path);
        const ask = async (): Promise<number | undefined> => {
          const { results } = await callUnary(client, 'BatchNewX509SVID', { params: [{ entryId: id, csr }] });
          return results[0]?.status?.code;
        };
        expect(await ask()).toBe(0);
        const during = Array.from({ length: 20 }, ask);
        if (path === '/deleted') await callUnary(operator, 'BatchDeleteEntry', { ids: [id] });
        else {
          const parentId = { trustDomain: 'example.org', path: '/rack' };
          await callUnary(operator, 'BatchUpdateEntry', {
            entries: [{ id, parentId }],
            inputMask: { parentId: true },
          });
        }
        const after = await Promise.all(Array.from({ length: 20 }, ask));
        expect(after).toEqual(after.map(() => 5));
        for (const code of await Promise.all(during)) expect([0, 5]).toContain(code);
      }
    });

    it('gets the new names of an entry as soon as it has changed, and never the old ones', async () => {
      const id = await server.createEntry(agent.spiffeId, '/old', { dnsNames: ['old.example.org'] });
      await callUnary(server.local(ENTRY), 'BatchUpdateEntry', {
        entries: [{ id, spiffeId: { trustDomain: 'example.org', path: '/new' }, dnsNames: [] }],
        inputMask: { spiffeId: true, dnsNames: true },
      });
      expect((await sign(id, await newCsr())).leaf).toMatchObject({
        uriNames: ['spiffe://example.org/new'],
        dnsNames: [],
      });
    });

    it('gets nothing for an entry that has expired', async () => {
      const clock = new FakeClock(new Date());
      await using aging = await InProcessServer.start({ clock });
      const node = await aging.attestNew();
      const id = await aging.createEntry(node.spiffeId, '/soon-over', {
        expiresAt: unixSeconds(clock.now()) + 30,
      });
      expect((await sign(id, await newCsr(), node, aging)).code).toBe(0);
      await clock.advance(31_000);
      expect(await sign(id, await newCsr(), node, aging)).toEqual(REFUSED);
    });
  });
});
