/** What a reload changes is seen by the callers of the server, on connections that they have already. */
import { createHash, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';
import { createWebCertificate } from './web-certificate.js';

const ENTRY = 'spire.api.server.entry.v1.Entry';
const AGENT = 'spire.api.server.agent.v1.Agent';

async function newCsr(): Promise<Buffer> {
  return createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
}

/** How the server answers the first message of a node that says how it attests. */
async function firstAnswer(server: InProcessServer, type: string, payload: string): Promise<string> {
  const stream = openBidiStream(await server.remote(AGENT), 'AttestAgent', { deadlineMs: 60_000 });
  try {
    const data = { type, payload: Buffer.from(payload) };
    await stream.send({ params: { data, params: { csr: await newCsr() } } });
    const { value } = await stream.messages.next();
    return value?.step ?? 'nothing';
  } catch (error) {
    return (error as Error).message;
  } finally {
    stream.cancel();
  }
}

async function servedCertificate(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
    socket.once('error', reject).once('secureConnect', () => {
      resolve(fingerprint(socket.getPeerCertificate().raw));
      socket.destroy();
    });
  });
}

function fingerprint(certificate: Buffer): string {
  return createHash('sha256').update(certificate).digest('hex');
}

describe('after a reload', { timeout: 120_000 }, () => {
  it('an ID of admin_ids is an admin on a connection that is open, and is none when it was taken out', async () => {
    await using server = await InProcessServer.start();
    const admin = await server.mint('spiffe://example.org/operator');
    const client = await server.remote(ENTRY, admin);
    const isRefused = (error: unknown): boolean => hasReason(error, 'permission_denied');
    await expect(callUnary(client, 'ListEntries', {})).rejects.toSatisfy(isRefused);

    const admins = { server: { admin_ids: ['spiffe://example.org/operator'] } };
    expect(await server.reload(admins)).toMatchObject({ changed: ['server.admin_ids'], needRestart: [] });
    expect((await callUnary(client, 'ListEntries', {})).entries).toEqual([]);

    expect(await server.reload({ server: { admin_ids: ['nobody'] } })).toMatchObject({ kind: 'refused' });
    expect((await callUnary(client, 'ListEntries', {})).entries).toEqual([]);

    await server.reload({});
    await expect(callUnary(client, 'ListEntries', {})).rejects.toSatisfy(isRefused);
  });

  it('rate limits hold for the next call, and end with the next reload', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    const entryId = await server.createEntry(agent.spiffeId, '/web');
    const client = await server.remote('spire.api.server.svid.v1.SVID', agent);
    const csr = await newCsr();
    const six = { params: Array.from({ length: 6 }, () => ({ entryId, csr })) };
    expect((await callUnary(client, 'BatchNewX509SVID', six)).results).toHaveLength(6);

    const limited = { ratelimit: { signing: true, signing_per_second: 5 } };
    await server.reload({ server: limited });
    await expect(callUnary(client, 'BatchNewX509SVID', six)).rejects.toThrow('exceeds burst size (5)');

    await server.reload({ server: { ...limited, trusted_proxies: ['127.0.0.0/8'] } });
    expect((await callUnary(client, 'BatchNewX509SVID', six)).results).toHaveLength(6);
  });

  it('nodes attest by the attestors of the new file alone', async () => {
    await using server = await InProcessServer.start();
    const token = await server.createToken();
    const challenge = '{"hostname":"node.example.org","agentname":"default","port":1}';
    const unknown = /http_challenge/;
    expect(await firstAnswer(server, 'http_challenge', challenge)).toMatch(unknown);

    const attestors = {
      join_token: undefined,
      http_challenge: { allowed_dns_patterns: ['node.example.org'] },
    };
    expect(await server.reload({ plugins: { NodeAttestor: attestors } })).toMatchObject({ needRestart: [] });
    expect(await firstAnswer(server, 'http_challenge', challenge)).toBe('challenge');
    await expect(server.attest(token)).rejects.toThrow(/join_token/);

    await server.reload({});
    expect((await server.attest(token)).spiffeId).toContain(token);
    expect(await firstAnswer(server, 'http_challenge', challenge)).toMatch(unknown);
  });

  it('agents are told as much of entries that they do not hold as the new file has it', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attestNew();
    await server.createEntry('spiffe://example.org/elsewhere', '/web');
    const client = await server.remote('bonafide.entry.v1.WorkloadExplanation', agent);
    const question = { selectors: [{ type: 'unix', value: 'uid:1000' }] };
    const told = async (): Promise<readonly string[]> =>
      (await callUnary(client, 'ExplainWorkload', question)).entries.map(({ spiffeId }) => spiffeId);
    expect(await told()).toEqual(['']);
    await server.reload({ server: { explain_to_agents: 'full' } });
    expect(await told()).toEqual(['spiffe://example.org/web']);
    await server.reload({ server: { explain_to_agents: 'none' } });
    await expect(told()).rejects.toThrow('explain_to_agents');
  });

  it('the bundle endpoint serves by new certificate files, and by the old ones when the new are no pair', async () => {
    using files = createTemporaryDirectory();
    const [first, second] = [
      await createWebCertificate('localhost'),
      await createWebCertificate('localhost'),
    ];
    const paths = { cert_file_path: files.join('tls.crt'), key_file_path: files.join('tls.key') };
    const write = ({ cert, key }: { readonly cert: string; readonly key: string }): void => {
      writeFileSync(paths.cert_file_path, cert);
      writeFileSync(paths.key_file_path, key, { mode: 0o600 });
    };
    write(first);
    await using server = await InProcessServer.start({
      config: {
        server: {
          federation: {
            bundle_endpoint: {
              address: '127.0.0.1',
              port: 0,
              profile: { https_web: { serving_cert_file: { ...paths, file_sync_interval: '24h' } } },
            },
          },
        },
      },
    });
    const served = (): Promise<string> => servedCertificate(server.bundleEndpointPort);
    const of = ({ cert }: { readonly cert: string }): string => fingerprint(new X509Certificate(cert).raw);
    expect(await served()).toBe(of(first));
    write({ cert: second.cert, key: first.key });
    expect(await server.reload({})).toMatchObject({ kind: 'refused' });
    expect(await served()).toBe(of(first));
    write(second);
    expect(await server.reload({})).toMatchObject({ kind: 'applied' });
    expect(await served()).toBe(of(second));
  });
});
