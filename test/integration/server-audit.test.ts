/** Invariant 8: every state change and every issuance is audited before the answer leaves. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { AUDIT_EVENT_NAMES } from '@bonafide/server/audit/audit-events';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDITED_METHODS, auditOf, AuditedServer, chainProblems } from './audited-server.js';
import { callWithNothing } from './call-with-nothing.js';
import type { InProcessServer } from './server-in-process.js';

const ENTRY = 'spire.api.server.entry.v1.Entry';
const SVID = 'spire.api.server.svid.v1.SVID';
const SETTLE = 120_000;

describe('the audit log of a server', () => {
  let audited: AuditedServer;
  let server: InProcessServer;

  beforeAll(async () => {
    audited = await AuditedServer.start();
    server = audited.server;
  }, SETTLE);

  afterAll(async () => {
    await audited[Symbol.asyncDispose]();
  });

  it(
    'has what every RPC that changes or issues something did, once its answer is there',
    async () => {
      const missing: string[] = [];
      for (const method of AUDITED_METHODS) {
        const told = await audited.during(() => callWithNothing(audited.clientFor(method.path), method));
        const event = auditOf(method.path);
        if (!told.some((record) => record.event === event && record.method === method.path))
          missing.push(method.path);
      }
      expect(missing).toEqual([]);
      expect(AUDITED_METHODS.length).toBeGreaterThan(40);
    },
    SETTLE,
  );

  it('is for its owner alone', () => {
    expect(statSync(audited.path).mode & 0o777).toBe(0o600);
  });

  it('names who created, changed and deleted an entry, and the revision', async () => {
    const { agent } = audited;
    let id = '';
    const created = await audited.during(async () => {
      id = await server.createEntry(agent.spiffeId, '/told');
    });
    expect(created).toMatchObject([
      {
        event: 'entry_created',
        result: 'success',
        actor: { kind: 'local_admin', uid: process.getuid?.() ?? 0, pid: process.pid },
        subject: { entry_id: id, spiffe_id: 'spiffe://example.org/told' },
        revision: expect.any(Number) as number,
        request_id: expect.any(String) as string,
        method: `/${ENTRY}/BatchCreateEntry`,
      },
    ]);
    const refused = await audited.during(() =>
      callUnary(server.local(ENTRY), 'BatchDeleteEntry', { ids: [id, 'nobody'] }),
    );
    expect(refused).toMatchObject([
      { event: 'entry_deleted', result: 'success', subject: { entry_id: id } },
      {
        event: 'entry_deleted',
        result: 'failure',
        subject: { entry_id: 'nobody' },
        reason: 'entry not found',
      },
    ]);
    expect(refused[1]).not.toHaveProperty('revision');
  });

  it('has one record for each SVID of a batch, with its serial number, and one for each that was refused', async () => {
    const { agent } = audited;
    const entryId = await server.createEntry(agent.spiffeId, '/batch');
    const privateKey = await generatePrivateKey('ec-p256');
    const csr = await createCertificateSigningRequest(privateKey);
    const client = await server.remote(SVID, agent);
    const params = [...Array.from({ length: 20 }, () => ({ entryId, csr })), { entryId: 'of others', csr }];
    const told = await audited.during(() => callUnary(client, 'BatchNewX509SVID', { params }));
    const issued = told.filter(({ result }) => result === 'success');
    expect(issued).toHaveLength(20);
    expect(new Set(issued.map(({ svid }) => svid?.serial_number)).size).toBe(20);
    expect(issued[0]).toMatchObject({
      event: 'x509_svid_issued',
      actor: { kind: 'agent', spiffe_id: agent.spiffeId, address: '127.0.0.1' },
      subject: { spiffe_id: 'spiffe://example.org/batch', entry_id: entryId, agent_id: agent.spiffeId },
      svid: { type: 'x509', expires_at: expect.any(String) as string },
    });
    expect(told.filter(({ result }) => result === 'failure')).toMatchObject([
      { subject: { entry_id: 'of others' } },
    ]);
  });

  it('has attestations, those that were refused too, and join tokens by their hash', async () => {
    let token = '';
    const made = await audited.during(async () => {
      token = await server.createToken();
    });
    const tokenHash = createHash('sha256').update(token).digest('hex');
    expect(made).toMatchObject([{ event: 'join_token_created', subject: { token_hash: tokenHash } }]);
    expect(readFileSync(audited.path, 'utf8')).not.toContain(token);
    const told = await audited.during(async () => {
      const { spiffeId, serialNumber } = await server.attest(token);
      const again = server.attest(token);
      await expect(again).rejects.toThrow();
      expect(audited.records().at(-2)).toMatchObject({
        event: 'agent_attested',
        result: 'success',
        subject: { agent_id: spiffeId },
        svid: { serial_number: serialNumber },
      });
    });
    expect(told.at(-1)).toMatchObject({ event: 'agent_attested', node_attestor_type: 'join_token' });
    expect(told.at(-1)?.result).not.toBe('success');
    expect(told.at(-1)?.reason).toMatch(/token/);
  });

  it('has whom the gate refused, once a second, and how often', async () => {
    const anonymous = await server.remote(ENTRY);
    const told = await audited.during(async () => {
      for (let call = 0; call < 20; call += 1) {
        await expect(callUnary(anonymous, 'CountEntries', {})).rejects.toMatchObject({
          reason: 'permission_denied',
        });
      }
    });
    const denied = told.filter(({ event }) => event === 'call_denied');
    expect(denied[0]).toMatchObject({
      result: 'denied',
      actor: { kind: 'unknown', address: '127.0.0.1' },
      method: `/${ENTRY}/CountEntries`,
    });
    expect(denied.length).toBeLessThan(20);
  });

  it('is a chain that can be verified, in words that are documented', async () => {
    expect(await chainProblems(audited.path)).toEqual([]);
    for (const { event } of audited.records()) expect(AUDIT_EVENT_NAMES).toContain(event);
  });

  it('holds no private key, token or certificate', () => {
    const keys = readFileSync(server.directory.join('data', 'keys.json'), 'utf8');
    const text = readFileSync(audited.path, 'utf8');
    const { keys: byId } = JSON.parse(keys) as { keys: Record<string, string> };
    for (const key of Object.values(byId)) expect(text).not.toContain(key.slice(0, 60));
    expect(text).not.toMatch(/BEGIN|eyJ/);
  });
});
