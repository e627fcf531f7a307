import { createPublicKey, type KeyObject } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { ClientIdentity } from '@bonafide/shared/rpc/mutual-tls-channel';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { InProcessAgent, agentIdOf, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer, type Attested } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const ADMIN_ID = 'spiffe://example.org/admin';

async function authoritiesOf(server: InProcessServer): Promise<readonly Buffer[]> {
  const { x509Authorities } = await callUnary(server.local(BUNDLE), 'GetBundle', {});
  return x509Authorities.map(({ asn1 }) => asn1);
}

/** The certificate with one name exchanged for another of the same length; its signature is of the old one. */
function renamed(certificate: Buffer, from: string, to: string): Buffer {
  const at = certificate.indexOf(from);
  expect([at > 0, to.length]).toEqual([true, from.length]);
  const forged = Buffer.from(certificate);
  forged.write(to, at, 'latin1');
  return forged;
}

describe('a certificate that nobody we trust has signed (invariant 3)', () => {
  async function expectNobody(server: InProcessServer, identity: ClientIdentity): Promise<void> {
    for (const method of ['PostStatus', 'CountAgents'] as const) {
      const call = callUnary(await server.remote(AGENT, identity), method, {}, { deadlineMs: 2000 });
      // Its connection is cut before it is served, so nothing of the certificate was used to answer.
      const reason: unknown = await call.then(
        () => 'answered',
        (error: unknown) => (error as { reason?: unknown }).reason,
      );
      expect([method, reason]).toEqual([method, expect.stringMatching(/^(unavailable|deadline_exceeded)$/)]);
    }
  }

  it('names no agent, no admin and nobody else, whatever is written in it', async () => {
    await using server = await InProcessServer.start({ config: { server: { admin_ids: [ADMIN_ID] } } });
    const agent = await server.attestNew();
    const stranger = await TestAuthority.create('example.org');
    for (const id of [agent.spiffeId, ADMIN_ID]) {
      await expectNobody(server, await stranger.issueX509Svid(id));
      const key = await generatePrivateKey('ec-p256');
      const selfSigned = await stranger.issueX509Svid(id, {
        certificate: { signingKey: key, publicKey: key },
      });
      await expectNobody(server, { ...selfSigned, privateKey: key });
    }

    // Behind a chain whose other certificates are genuine.
    const [authority = Buffer.alloc(0)] = await authoritiesOf(server);
    const forged = await stranger.issueX509Svid(agent.spiffeId);
    await expectNobody(server, { ...forged, certificateChain: [...forged.certificateChain, authority] });
    // An SVID of ours is no authority, though its holder can sign with its key.
    const web = await server.mint('spiffe://example.org/web');
    const below = await issueBelow(web, stranger, agent.spiffeId);
    await expectNobody(server, below);

    // A genuine chain whose name was changed afterwards.
    const minted = await server.mint('spiffe://example.org/nimda');
    const [leaf = Buffer.alloc(0), ...rest] = minted.certificateChain;
    const altered = renamed(leaf, 'example.org/nimda', 'example.org/admin');
    await expectNobody(server, { ...minted, certificateChain: [altered, ...rest] });
    expect(await callUnary(await server.remote(AGENT, agent), 'PostStatus', {})).toEqual({});
  });

  it('can be changed in no bit that leaves it valid', async () => {
    const authority = await TestAuthority.create('example.org');
    const { certificateChain } = await authority.issueX509Svid('/web');
    const [leaf = Buffer.alloc(0)] = certificateChain;
    const verify = (der: Buffer): unknown =>
      verifyX509Svid({
        chain: [der],
        authorities: [authority.certificate],
        now: new Date(),
        trustDomain: authority.trustDomain,
      });
    expect(verify(leaf)).toBeDefined();
    for (let bit = 0; bit < leaf.length * 8; bit += 5) {
      const changed = Buffer.from(leaf);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => verify(changed)).toThrow();
    }
  });
});

/** A certificate signed with the key of a workload's SVID, which is no authority. */
async function issueBelow(svid: Attested, names: TestAuthority, spiffeId: string): Promise<ClientIdentity> {
  const issued = await names.issueX509Svid(spiffeId, {
    certificate: {
      issuerName: 'web',
      issuerPublicKey: publicKeyOf(svid.privateKey),
      signingKey: svid.privateKey,
    },
  });
  return { ...issued, certificateChain: [...issued.certificateChain, ...svid.certificateChain] };
}

function publicKeyOf(key: KeyObject): KeyObject {
  return createPublicKey(key);
}

interface StoredFile {
  certificate_chain: string[];
  private_key: string;
}

async function change(path: string, edit: (file: StoredFile) => void): Promise<void> {
  const file = JSON.parse(await readFile(path, 'utf8')) as StoredFile;
  edit(file);
  await writeFile(path, JSON.stringify(file));
}

describe('what an agent finds on its disk (invariant 3)', () => {
  it.each<[string, (file: StoredFile, forged: { chain: string[]; key: string }) => void]>([
    ['another certificate', (file, { chain }) => (file.certificate_chain = chain)],
    ['another key', (file, { key }) => (file.private_key = key)],
    [
      'a certificate and key of another authority',
      (file, { chain, key }) => {
        file.certificate_chain = chain;
        file.private_key = key;
      },
    ],
    [
      'a certificate with another name',
      (file) => {
        const [leaf = ''] = file.certificate_chain;
        const altered = renamed(Buffer.from(leaf, 'base64'), 'example.org/web', 'example.org/adm');
        file.certificate_chain = [altered.toString('base64')];
      },
    ],
  ])('is not served with %s', async (_name, edit) => {
    await using server = await InProcessServer.start();
    const token = await server.createToken();
    await server.createEntry(agentIdOf(token), '/web', { selectors: [OWN_SELECTOR] });
    await using first = await InProcessAgent.start({ server, joinToken: token });
    await waitFor('the SVID', async () => (await first.fetch()).length === 1);
    await first.stop();
    const folder = join(first.dataDirectory, 'svids');
    const [name = ''] = await readdir(folder);
    const stranger = await TestAuthority.create('example.org');
    const forged = await stranger.issueX509Svid('/web');
    await change(join(folder, name), (file) => {
      edit(file, {
        chain: forged.certificateChain.map((der) => der.toString('base64')),
        key: exportPkcs8(forged.privateKey).toString('base64'),
      });
    });

    await using again = await InProcessAgent.start({ server, joinToken: token, directory: first.directory });
    // Whatever is served is verified by `fetch`; until there is anything it is refused.
    const unusable: unknown[] = [];
    const svids = await waitFor('an SVID', async () => {
      try {
        return await again.fetch();
      } catch (error) {
        if (!hasReason(error, 'permission_denied') && !hasReason(error, 'unavailable')) unusable.push(error);
        return undefined;
      }
    });
    expect(unusable).toEqual([]);
    const authorities = await authoritiesOf(server);
    expect(svids).toHaveLength(1);
    for (const { certificates } of svids) {
      const verified = verifyX509Svid({
        chain: certificates.map(({ der }) => der),
        authorities,
        now: new Date(),
        trustDomain: stranger.trustDomain,
      });
      expect(verified.spiffeId).toBe('spiffe://example.org/web');
    }
  });
});
