/** The server's machine loses power while authorities come and go every few seconds: whatever was published stays good until it expires. */
import { readdir, readFile } from 'node:fs/promises';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { adminClient, authoritiesOf, tokenAuthoritiesOf } from './admin-client.js';

/** The next authority is made after half of it and signs after five sixths. */
const AUTHORITY_SECONDS = 6;
/** The least that is left of an authority while it signs. */
const LEAST_TOKEN_SECONDS = AUTHORITY_SECONDS / 6;
const ROUNDS = 6;
const LEAST_AUTHORITIES = 3;

/** @returns the chain, leaf first. */
async function mint(server: LaunchedServer): Promise<readonly Buffer[]> {
  const privateKey = await generatePrivateKey('ec-p256');
  const csr = await createCertificateSigningRequest(privateKey, {
    uriNames: [`spiffe://${server.trustDomain}/minted`],
  });
  const client = adminClient(server, 'spire.api.server.svid.v1.SVID');
  try {
    return (await callUnary(client, 'MintX509SVID', { csr }, { deadlineMs: 5_000 })).svid?.certChain ?? [];
  } finally {
    client.close();
  }
}

/** @returns the key ID of the authority that signed. */
async function mintJwt(server: LaunchedServer): Promise<string | undefined> {
  const client = adminClient(server, 'spire.api.server.svid.v1.SVID');
  try {
    const request = { id: { trustDomain: server.trustDomain, path: '/minted' }, audience: ['test'] };
    const { svid } = await callUnary(client, 'MintJWTSVID', request, { deadlineMs: 5_000 });
    const [header = ''] = (svid?.token ?? '').split('.');
    return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid?: string }).kid;
  } finally {
    client.close();
  }
}

function expiryOf(authority: string): Date {
  return parseX509Certificate(Buffer.from(authority, 'base64')).notAfter;
}

describe('kill -9 of the server while authorities rotate (invariant 9)', () => {
  it('keeps every authority published until it expires, and signs under one that is published', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { ca_ttl: `${AUTHORITY_SECONDS}s` } },
    });
    const seen = new Set<string>();
    const signers = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round += 1) {
      // The moment at which keys are written, when one is about to be: it is where the least is allowed to go wrong.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 2_000));
      await server.kill9();
      await server.process.start();
      const published = await authoritiesOf(server);
      const now = new Date();
      const lost = [...seen].filter(
        (authority) => expiryOf(authority) > now && !published.includes(authority),
      );
      expect(lost).toEqual([]);
      const chain = await mint(server);
      const authorities = (await authoritiesOf(server)).map((base64) => Buffer.from(base64, 'base64'));
      expect(verifyX509Svid({ chain, authorities, now: new Date() }).spiffeId).toBe(
        'spiffe://example.org/minted',
      );
      for (const authority of published) seen.add(authority);

      const keyId = (await mintJwt(server)) ?? '';
      const tokens = await tokenAuthoritiesOf(server);
      expect(tokens).toContain(keyId);
      // What a JWT authority signed lives no longer than it, and it no longer than this after it signed.
      for (const [signer, signedMs] of signers) {
        if (Date.now() - signedMs < LEAST_TOKEN_SECONDS * 1000) expect(tokens).toContain(signer);
      }
      signers.set(keyId, Date.now());
    }
    expect(signers.size).toBeGreaterThan(1);
    await waitFor(
      'one more authority to be published',
      async () => {
        const published = await authoritiesOf(server);
        const isNew = published.some((authority) => !seen.has(authority));
        for (const authority of published) seen.add(authority);
        return isNew;
      },
      { limitMs: 150_000, intervalMs: 200 },
    );
    expect(seen.size).toBeGreaterThanOrEqual(LEAST_AUTHORITIES);

    await waitFor(
      'the keys that are of use alone: of each kind the active one and the next, but for the moment in which they change',
      async () => {
        const text = await readFile(directory.join('server', 'keys.json'), 'utf8');
        const { keys } = JSON.parse(text) as { keys: object };
        return Object.keys(keys).length <= 2 * 3;
      },
      { limitMs: 150_000, intervalMs: 100 },
    );
    // A file that was being written when the machine died holds keys and must not lie about for ever. The server still writes new ones.
    await waitFor(
      'no file to be left that was being written',
      async () => (await readdir(directory.join('server'))).every((name) => !name.endsWith('.tmp')),
      { limitMs: 150_000, intervalMs: 50 },
    );
    expect(server.process.output).not.toContain('level=error');
  });
});
