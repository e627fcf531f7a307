import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const SPENT = 'failed to attest: join token does not exist or has already been used';

function wireId({ spiffeId }: Pick<Attested, 'spiffeId'>): { trustDomain: string; path: string } {
  return { trustDomain: 'example.org', path: new URL(spiffeId).pathname };
}

async function newCsr(): Promise<Buffer> {
  return createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
}

/** How the server ends an AttestAgent stream that begins with this message. */
async function refusalOf(server: InProcessServer, first: object | undefined): Promise<string> {
  const stream = openBidiStream(await server.remote(AGENT), 'AttestAgent', { deadlineMs: 10_000 });
  try {
    if (first !== undefined) await stream.send(first);
    stream.end();
    for await (const response of stream.messages) return `answered ${response.step ?? 'nothing'}`;
    return 'ended';
  } catch (error) {
    return errorMessage(error);
  }
}

describe('join tokens', () => {
  it('are spent once, whoever races (invariant 2)', async () => {
    await using server = await InProcessServer.start();
    const token = await server.createToken();
    const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => server.attest(token)));
    const winners = attempts.filter((attempt) => attempt.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    for (const attempt of attempts) {
      if (attempt.status === 'rejected') expect(errorMessage(attempt.reason)).toBe(SPENT);
    }
    // What the losers were signed, if anything, is worth nothing: the winner's SVID is the current one.
    const { agents } = await callUnary(server.local(AGENT), 'ListAgents', {});
    expect(agents.map((agent) => BigInt(agent.x509svidSerialNumber).toString(16))).toEqual(
      winners.map(({ value }) => value.serialNumber.replace(/^0+/, '')),
    );
    await expect(server.attest(token)).rejects.toThrow(SPENT);
  });

  it('end when their time is up', async () => {
    const clock = new FakeClock(new Date());
    await using server = await InProcessServer.start({ clock });
    const token = await server.createToken(60);
    await clock.advance(61_000);
    await expect(server.attest(token)).rejects.toThrow('join token expired');
    const next = await server.createToken(60);
    await expect(server.attest(token)).rejects.toThrow(SPENT);
    expect((await server.attest(next)).spiffeId).toContain(next);
  });

  it('are not spent by a bad CSR, nor by one that is not signed by its key', async () => {
    await using server = await InProcessServer.start();
    const token = await server.createToken();
    const good = await newCsr();
    const forged = Buffer.from(good);
    forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1);
    const csrs = [
      Buffer.from('nonsense'),
      good.subarray(0, good.length - 1),
      Buffer.concat([good, Buffer.from([0])]),
      forged,
      Buffer.alloc(100_000, 0x30),
    ];
    for (const csr of csrs) {
      const refusal = await refusalOf(server, {
        params: { data: { type: 'join_token', payload: Buffer.from(token) }, params: { csr } },
      });
      expect(refusal).not.toMatch(/answered|ended|internal/);
    }
    expect((await server.attest(token)).spiffeId).toContain(token);
  });

  it('make the agent that was proven, whatever its CSR asks for (invariant 1)', async () => {
    await using server = await InProcessServer.start();
    const token = await server.createToken();
    const agent = await server.attest(token, {
      uriNames: ['spiffe://example.org/spire/server', 'spiffe://example.org/admin'],
      dnsNames: ['bank.example'],
    });
    const certificate = parseX509Certificate(agent.certificateChain[0] ?? Buffer.alloc(0));
    expect(certificate.uriNames).toEqual([`spiffe://example.org/spire/agent/join_token/${token}`]);
    expect(certificate.dnsNames).toEqual([]);
    expect(certificate.isCa).toBe(false);
  });

  it('bring an alias along, which goes when the agent is evicted, while entries of operators stay', async () => {
    await using server = await InProcessServer.start();
    const { value: token } = await callUnary(server.local(AGENT), 'CreateJoinToken', {
      ttl: 600,
      agentId: { trustDomain: 'example.org', path: '/rack/7' },
    });
    const agent = await server.attest(token);
    const entries = server.local(ENTRY);
    const web = await server.createEntry('spiffe://example.org/rack/7', '/web');
    const own = await server.createEntry(agent.spiffeId, '/own');
    const authorized = await callUnary(await server.remote(ENTRY, agent), 'GetAuthorizedEntries', {});
    expect(authorized.entries.map(({ spiffeId }) => spiffeId?.path).sort()).toEqual([
      '/own',
      '/rack/7',
      '/web',
    ]);
    const [alias] = authorized.entries.filter(({ spiffeId }) => spiffeId?.path === '/rack/7');
    expect(alias?.selectors).toEqual([{ type: 'spiffe_id', value: agent.spiffeId }]);
    expect(alias?.parentId).toEqual(wireId(agent));

    await callUnary(server.local(AGENT), 'DeleteAgent', { id: wireId(agent) });
    const left = await callUnary(entries, 'ListEntries', {});
    expect(left.entries.map(({ id }) => id).sort()).toEqual([own, web].sort());
  });

  it('need a time to live, a name that fits into a path, and an alias that is a workload', async () => {
    await using server = await InProcessServer.start();
    const client = server.local(AGENT);
    await expect(callUnary(client, 'CreateJoinToken', {})).rejects.toThrow('ttl is required');
    await expect(callUnary(client, 'CreateJoinToken', { ttl: -1 })).rejects.toThrow('ttl is required');
    for (const token of ['a/b', '..', 'é', 'x'.repeat(256), 'a b']) {
      await expect(callUnary(client, 'CreateJoinToken', { ttl: 1, token })).rejects.toThrow(
        'join token must be',
      );
    }
    for (const path of ['/spire/agent/x', '']) {
      const agentId = { trustDomain: 'example.org', path };
      await expect(callUnary(client, 'CreateJoinToken', { ttl: 1, agentId })).rejects.toThrow(
        'is not a workload',
      );
    }
    const created = await callUnary(client, 'CreateJoinToken', { ttl: 60, token: 'rack-7' });
    expect(created.value).toBe('rack-7');
    expect(created.expiresAt).toBeGreaterThan(unixSeconds(new Date()));
    await expect(callUnary(client, 'CreateJoinToken', { ttl: 60, token: 'rack-7' })).rejects.toThrow('taken');
  });
});

describe('AttestAgent', () => {
  it('names what is missing or unknown', async () => {
    await using server = await InProcessServer.start();
    const csr = await newCsr();
    const data = { type: 'join_token', payload: Buffer.from('x') };
    const cases: readonly (readonly [object | undefined, string])[] = [
      [undefined, 'failed to receive request from stream: it has ended'],
      [{}, 'malformed param: missing params'],
      [{ challengeResponse: Buffer.from('x') }, 'malformed param: missing params'],
      [{ params: { params: { csr } } }, 'malformed param: missing attestation data'],
      [{ params: { data } }, 'malformed param: missing X509-SVID parameters'],
      [{ params: { data, params: {} } }, 'malformed param: missing CSR'],
      [
        { params: { data: { payload: data.payload }, params: { csr } } },
        'malformed param: missing attestation data type',
      ],
      [
        { params: { data: { type: 'join_token' }, params: { csr } } },
        'malformed param: missing attestation data payload',
      ],
      [{ params: { data, params: { csr } } }, SPENT],
    ];
    for (const [message, refusal] of cases) expect(await refusalOf(server, message)).toBe(refusal);
    expect(await refusalOf(server, { params: { data: { ...data, type: 'tpm' }, params: { csr } } })).toBe(
      'error getting node attestor: could not find node attestor type "tpm"; enabled are join_token',
    );
  });

  it('refuses a banned agent even with a new token of the old name, and does not spend it', async () => {
    await using server = await InProcessServer.start();
    const agent = await server.attest(await server.createToken(600, 'rack-7'));
    await callUnary(server.local(AGENT), 'BanAgent', { id: wireId(agent) });
    await server.createToken(600, 'rack-7');
    await expect(server.attest('rack-7')).rejects.toThrow('failed to attest: agent is banned');
    await callUnary(server.local(AGENT), 'DeleteAgent', { id: wireId(agent) });
    expect((await server.attest('rack-7')).spiffeId).toBe(agent.spiffeId);
  });

  it('ends a stream whose caller says nothing more', async () => {
    const clock = new FakeClock(new Date());
    await using server = await InProcessServer.start({ clock });
    const stream = openBidiStream(await server.remote(AGENT), 'AttestAgent', { deadlineMs: 20_000 });
    const ended = stream.messages.next().catch((error: unknown) => error);
    // The stream must have arrived before the time passes.
    const { promise, stop } = advancing(clock);
    const error = await ended;
    stop();
    await promise;
    expect(hasReason(error, 'deadline_exceeded') && error.message).toBe(
      'attestation took longer than 60 seconds',
    );
  });
});

describe('RenewAgent', () => {
  it('gives an SVID that becomes current when it is first used; until then both are good', async () => {
    await using server = await InProcessServer.start();
    const first = await server.attestNew();
    const second = await server.renew(first);
    const third = await server.renew(first);
    await callUnary(await server.remote(AGENT, first), 'PostStatus', {});
    await expect(callUnary(await server.remote(AGENT, second), 'PostStatus', {})).rejects.toSatisfy((error) =>
      hasReason(error, 'agent_not_active'),
    );
    // Many calls at once make it current once.
    const client = await server.remote(AGENT, third);
    await Promise.all(Array.from({ length: 20 }, () => callUnary(client, 'PostStatus', {})));
    await expect(callUnary(await server.remote(AGENT, first), 'PostStatus', {})).rejects.toSatisfy((error) =>
      hasReason(error, 'agent_not_active'),
    );
    const agent = await callUnary(server.local(AGENT), 'GetAgent', { id: wireId(first) });
    expect(BigInt(agent.x509svidSerialNumber)).toBe(BigInt(`0x${third.serialNumber}`));
  });

  it('needs a CSR', async () => {
    await using server = await InProcessServer.start();
    const client = await server.remote(AGENT, await server.attestNew());
    await expect(callUnary(client, 'RenewAgent', {})).rejects.toThrow('params cannot be nil');
    await expect(callUnary(client, 'RenewAgent', { params: {} })).rejects.toThrow('missing CSR');
  });
});

/** Moves the clock on until told to stop. */
function advancing(clock: FakeClock): { promise: Promise<void>; stop: () => void } {
  let isStopped = false;
  const run = async (): Promise<void> => {
    while (!isStopped) {
      await clock.advance(5_000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return {
    promise: run(),
    stop: () => {
      isStopped = true;
    },
  };
}
