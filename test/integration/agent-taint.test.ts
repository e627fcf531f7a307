/** What an agent does about authorities that an operator calls stolen: the server says so, and everything under them is replaced. */
import { callWorkloadApi, firstOf } from '@bonafide/agent/cli/api/workload-call';
import type { AgentIdentity } from '@bonafide/agent/agent-identity/agent-identity';
import { IdentityKeeper } from '@bonafide/agent/agent-identity/identity-keeper';
import { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { attestAgent } from '@bonafide/agent/node-attestation/attest-agent';
import { createNodeAttestor } from '@bonafide/agent/node-attestation/attestors';
import { splitCertificates } from '@bonafide/shared/crypto/certificate-sequence';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { callUnary, openServerStream, type CallSettings } from '@bonafide/shared/rpc/client-call';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const LOCAL_AUTHORITY = 'spire.api.server.localauthority.v1.LocalAuthority';
const AGENT = 'spire.api.server.agent.v1.Agent';

let server: InProcessServer;
let agent: InProcessAgent;
let joinToken: string;

beforeEach(async () => {
  server = await InProcessServer.start();
  joinToken = await server.createToken();
  await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
  agent = await InProcessAgent.start({ server, joinToken });
  await agent.fetched('the first SVID');
});
afterEach(async () => {
  await agent[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

type Kind = 'JWT' | 'WIT' | 'X509';

/** @returns the authority that signs now, and the one that will once it is activated. */
async function prepareAnother(kind: Kind): Promise<{ readonly old: string; readonly next: string }> {
  const client = server.local(LOCAL_AUTHORITY);
  const { active } = await callUnary(client, `Get${kind}AuthorityState`, {});
  const { preparedAuthority } = await callUnary(client, `Prepare${kind}Authority`, {});
  return { old: active?.authorityId ?? '', next: preparedAuthority?.authorityId ?? '' };
}

async function activateAnother(kind: Kind): ReturnType<typeof prepareAnother> {
  const { old, next } = await prepareAnother(kind);
  await callUnary(server.local(LOCAL_AUTHORITY), `Activate${kind}Authority`, { authorityId: next });
  return { old, next };
}

function workload<Answer>(
  work: (client: ServiceClient<'SpiffeWorkloadAPI'>, settings: CallSettings) => Promise<Answer>,
): Promise<Answer> {
  return callWorkloadApi({ socketPath: agent.socketPath, timeout: 10 }, createRecordedHost(), work);
}

/** Of the SVID that a workload is given now. */
async function x509Authority(): Promise<string | undefined> {
  const { svids } = await workload((client, settings) =>
    firstOf(openServerStream(client, 'FetchX509SVID', {}, settings)),
  );
  const [leaf] = splitCertificates(svids[0]?.x509Svid ?? Buffer.alloc(0), 'x509_svid');
  return leaf && parseX509Certificate(leaf).authorityKeyId;
}

/** How many there are in the bundle that a workload is given now. */
async function x509Authorities(): Promise<number> {
  const { svids } = await workload((client, settings) =>
    firstOf(openServerStream(client, 'FetchX509SVID', {}, settings)),
  );
  return splitCertificates(svids[0]?.bundle ?? Buffer.alloc(0), 'bundle').length;
}

async function fetchJwt(): Promise<string> {
  const { svids } = await workload((client, settings) =>
    callUnary(client, 'FetchJWTSVID', { audience: ['db'] }, settings),
  );
  return svids[0]?.svid ?? '';
}

function keyIdOf(token: string | undefined): unknown {
  return parseCompactJws(token ?? '').header['kid'];
}

/** Of the agent's own SVID, as the server knows it. */
async function agentSerial(): Promise<string> {
  const id = { trustDomain: 'example.org', path: new URL(agentIdOf(joinToken)).pathname };
  return (await callUnary(server.local(AGENT), 'GetAgent', { id })).x509svidSerialNumber;
}

function explain(): string {
  const told = agent.logLines.filter(({ level }) => level !== 'debug');
  return told.map(({ level, msg }) => `${level} ${msg}`).join('\n');
}

describe('an authority that is tainted', () => {
  it('for X.509 has the SVIDs of workloads and of the agent itself replaced in seconds, and may then be revoked', async () => {
    const serial = await agentSerial();
    const { old, next } = await activateAnother('X509');
    expect(await x509Authority()).toBe(old);
    expect(await agentSerial()).toBe(serial);
    await callUnary(server.local(LOCAL_AUTHORITY), 'TaintX509Authority', { authorityId: old });
    await waitFor('the SVID under the next authority', async () => (await x509Authority()) === next, {
      explain,
    });
    await waitFor("the agent's own to be in use", async () => (await agentSerial()) !== serial, { explain });
    expect(agent.logged('Successfully rotated agent SVID')).toBe(1);
    expect(agent.logged('New tainted X.509 authorities found')).toBe(1);

    await callUnary(server.local(LOCAL_AUTHORITY), 'RevokeX509Authority', { authorityId: old });
    await server.createEntry(agentIdOf(joinToken), '/db', { selectors: [OWN_SELECTOR] });
    const ids = async () => (await agent.fetch()).map(({ spiffeId }) => spiffeId);
    await waitFor('the push', async () => (await ids()).length === 2, { explain });
    expect(await x509Authority()).toBe(next);
  });

  it('for X.509 while the agent was down has the same done at its next start', async () => {
    const serial = await agentSerial();
    const { old, next } = await prepareAnother('X509');
    // An agent that has never heard of the authority could not tell the server from an impostor.
    await waitFor('the agent to know it', async () => (await x509Authorities()) === 2, { explain });
    await agent.stop();
    await callUnary(server.local(LOCAL_AUTHORITY), 'ActivateX509Authority', { authorityId: next });
    await callUnary(server.local(LOCAL_AUTHORITY), 'TaintX509Authority', { authorityId: old });
    agent = await InProcessAgent.start({ server, joinToken, directory: agent.directory });
    await waitFor('the SVID under the next authority', async () => (await x509Authority()) === next, {
      explain,
    });
    await waitFor("the agent's own", async () => (await agentSerial()) !== serial, { explain });
  });

  it('for JWT-SVIDs has the tokens that are kept forgotten in seconds', async () => {
    const token = await fetchJwt();
    const { old, next } = await activateAnother('JWT');
    expect(keyIdOf(token)).toBe(old);
    expect(await fetchJwt()).toBe(token);
    await callUnary(server.local(LOCAL_AUTHORITY), 'TaintJWTAuthority', { authorityId: old });
    await waitFor('a token of the next authority', async () => keyIdOf(await fetchJwt()) === next, {
      explain,
    });
    const fresh = await fetchJwt();
    expect(await fetchJwt()).toBe(fresh);
  });

  it('for WIT-SVIDs has another pushed to those who watch, in seconds', async () => {
    await workload(async (client, settings) => {
      const stream = openServerStream(client, 'FetchWITSVID', {}, settings);
      const first = (await stream.next()).value?.svids[0]?.witSvid;
      const { old, next } = await activateAnother('WIT');
      expect(keyIdOf(first)).toBe(old);
      await callUnary(server.local(LOCAL_AUTHORITY), 'TaintWITAuthority', { authorityId: old });
      const second = (await stream.next()).value?.svids[0]?.witSvid;
      expect(keyIdOf(second)).toBe(next);
      await stream.return(undefined);
    });
  });
});

describe("an agent's own SVID under a tainted authority", () => {
  it('is replaced when it was loaded from disk, and again while the server still signs with that authority', async () => {
    const trustDomain = parseTrustDomain('example.org');
    const connection = new ServerConnection({
      addresses: [{ host: '127.0.0.1', port: server.port }],
      trustDomain,
    });
    const bundle = await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {});
    connection.trust(bundle.x509Authorities.map(({ asn1 }) => asn1));
    const surroundings = { clock: systemClock, log: silentLogger };
    const token = await server.createToken();
    const attestor = createNodeAttestor(
      { join_token: {} },
      { trustDomain, joinToken: token, ...surroundings },
    );
    const saved: AgentIdentity[] = [];
    const tainted = new Set<X509Svid>();
    let isStillSigning = false;
    const create = (): IdentityKeeper =>
      new IdentityKeeper({
        connection,
        storage: {
          load: () => Promise.resolve(saved.at(-1)),
          save: (identity) => {
            saved.push(identity);
            if (isStillSigning) tainted.add(identity.svid);
            isStillSigning = false;
            return Promise.resolve();
          },
          delete: () => Promise.resolve(),
        },
        attest: (signal) => attestAgent({ connection, attestor, trustDomain, signal }),
        canAttest: () => !attestor.isSpent,
        isTainted: (svid) => tainted.has(svid),
        onQuarantined: () => undefined,
        isAlwaysPatient: () => false,
        explain: errorMessage,
        policy: { availabilityTargetSeconds: undefined, random: () => 0.5 },
        ...surroundings,
      });
    const stopping = new AbortController();
    await create().attest(false, stopping.signal);
    const [first] = saved;
    if (first === undefined) throw new Error('no identity was saved');

    tainted.add(first.svid);
    isStillSigning = true;
    const keeper = create();
    expect(await keeper.restore()).toBe(true);
    keeper.review();
    const running = keeper.run(stopping.signal);
    await waitFor('two more', () => saved.length === 3);
    await waitFor('the last to be adopted', () => keeper.svid === saved[2]?.svid);
    keeper.review();
    stopping.abort();
    await running;
    connection.close();
    expect(saved).toHaveLength(3);
  });
});
