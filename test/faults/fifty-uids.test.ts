/** Fifty users of one node at once for a minute, while their SVIDs rotate: what each receives is its own and nobody else's. */
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { adminClient } from './admin-client.js';
import { OwnIdentity } from './own-identity.js';
import { openDescriptors } from './process-cost.js';

const USERS = 50;
const FIRST_UID = 64_200;
const LOAD_MS = 60_000;
/** X.509-SVIDs are renewed at half of their life: about every fifteen seconds. */
const TTL_SECONDS = 30;
const PAUSE_MS = 500;
/** A machine that is busy takes its time, for a process to start or an answer to come. */
const PATIENCE = { limitMs: 120_000 };
const STARTED_AT_ONCE = 10;
const OTHER_TRUST_DOMAIN = 'other.example';

const { definition } = loadService('SpiffeWorkloadAPI');
const method = (name: string): string => `SpiffeWorkloadAPI/${name}`;

/** Every second one is also entitled to the bundle of another trust domain. */
const isFederated = (uid: number): boolean => uid % 2 === 0;

interface User {
  readonly uid: number;
  readonly identity: OwnIdentity;
  readonly workload: WorkloadProcess;
}

async function register(server: LaunchedServer, agent: LaunchedAgent): Promise<void> {
  const { trustDomain } = server;
  const other = await TestAuthority.create(OTHER_TRUST_DOMAIN);
  const bundles = adminClient(server, 'spire.api.server.bundle.v1.Bundle');
  const entries = adminClient(server, 'spire.api.server.entry.v1.Entry');
  try {
    const bundle = { trustDomain: OTHER_TRUST_DOMAIN, x509Authorities: [{ asn1: other.certificate }] };
    const set = await callUnary(bundles, 'BatchSetFederatedBundle', { bundle: [bundle] });
    const created = await callUnary(entries, 'BatchCreateEntry', {
      entries: uids().map((uid) => ({
        spiffeId: { trustDomain, path: pathOf(uid) },
        parentId: { trustDomain, path: new URL(agent.spiffeId).pathname },
        selectors: [{ type: 'unix', value: `uid:${uid}` }],
        federatesWith: isFederated(uid) ? [OTHER_TRUST_DOMAIN] : [],
        x509SvidTtl: TTL_SECONDS,
      })),
    });
    for (const { status: result } of [...set.results, ...created.results]) {
      if (result?.code !== status.OK) throw new Error(result?.message ?? 'no status');
    }
  } finally {
    bundles.close();
    entries.close();
  }
}

function uids(): readonly number[] {
  return Array.from({ length: USERS }, (_, index) => FIRST_UID + index);
}

function pathOf(uid: number): string {
  return `/user/${uid}`;
}

async function startUser(uid: number): Promise<User> {
  const trustDomains = isFederated(uid) ? ['example.org', OTHER_TRUST_DOMAIN] : ['example.org'];
  const identity = new OwnIdentity({
    spiffeId: `spiffe://example.org${pathOf(uid)}`,
    trustDomainIds: trustDomains.map((name) => `spiffe://${name}`),
  });
  return { uid, identity, workload: await WorkloadProcess.start({ uid, gid: uid }) };
}

async function servesAtAll({ workload }: User): Promise<boolean> {
  const call = workload.call(method('FetchX509SVID'));
  return Promise.race([workload.message(call).then(() => true), workload.status(call).then(() => false)]);
}

/** Follows SVID and bundles, and asks for tokens and for the SVID anew all the while. */
async function run({ identity, uid, workload }: User, socketPath: string, endsAtMs: number): Promise<void> {
  await workload.connect(socketPath);
  const svids = workload.call(method('FetchX509SVID'));
  const x509Bundles = workload.call(method('FetchX509Bundles'));
  const jwtBundles = workload.call(method('FetchJWTBundles'));
  for (let round = 0; performance.now() < endsAtMs; round += 1) {
    const audience = `audience-${uid}-${Math.floor(round / 4)}`;
    const request = definition.FetchJWTSVID.requestSerialize({ audience: [audience], spiffeId: '' });
    const token = workload.call(method('FetchJWTSVID'), { request });
    expect(await workload.status(token)).toEqual({ code: status.OK, message: 'OK' });
    for (const message of workload.messages(token)) identity.noteJwtSvids(message, audience);
    const anew = workload.call(method('FetchX509SVID'));
    identity.noteX509Svids(await workload.message(anew));
    workload.cancel(anew);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  for (const message of workload.messages(svids)) identity.noteX509Svids(message);
  await waitFor(
    `user ${uid} to have a third SVID`,
    () => {
      for (const message of workload.messages(svids)) identity.noteX509Svids(message);
      return identity.serialNumbers.size > 2;
    },
    { ...PATIENCE, intervalMs: 500, explain: () => identity.strangers.join('\n') },
  );
  for (const message of workload.messages(x509Bundles)) identity.noteX509Bundles(message);
  for (const message of workload.messages(jwtBundles)) identity.noteJwtBundles(message);
  expect(workload.isDisconnected).toBe(false);
}

describe.runIf(canRunAsOthers())('fifty users of one node (needs root, to be several users)', () => {
  it('each receive what is theirs and nothing else for a minute, and leave nothing behind', async () => {
    using directory = createTemporaryDirectory({ isPublic: true });
    await using server = await launchServer({ directory: directory.path, config: quiet('server') });
    const options = { server, directory: directory.path, config: quiet('agent') };
    await using agent = await launchAgent(options);
    await register(server, agent);
    const { pid } = agent.process;
    const users: User[] = [];
    try {
      // Whatever the agent opens once and for all is open.
      const first = await startUser(FIRST_UID);
      await first.workload.connect(agent.socketPath);
      await waitFor('the entries', () => servesAtAll(first), PATIENCE);
      first.workload[Symbol.dispose]();
      const before = openDescriptors(pid);

      while (users.length < USERS) {
        const group = uids().slice(users.length, users.length + STARTED_AT_ONCE);
        users.push(...(await Promise.all(group.map(startUser))));
      }
      const endsAtMs = performance.now() + LOAD_MS;
      const runs = await Promise.allSettled(users.map((user) => run(user, agent.socketPath, endsAtMs)));
      expect(runs.filter(({ status: outcome }) => outcome === 'rejected')).toEqual([]);

      expect(users.flatMap(({ identity }) => identity.strangers)).toEqual([]);
      const secrets = users.flatMap(({ identity }) => [...identity.secrets]);
      expect(new Set(secrets).size).toBe(secrets.length);
      const svids = users.map(({ identity }) => identity.serialNumbers.size);
      process.stdout.write(
        `${users.length} users: ${secrets.length} keys and tokens, no two alike; ` +
          `${Math.min(...svids)} to ${Math.max(...svids)} X.509-SVIDs each\n`,
      );
      for (const { workload } of users) workload[Symbol.dispose]();
      await waitFor('every descriptor to be closed', () => openDescriptors(pid) <= before, {
        ...PATIENCE,
        explain: () => `${openDescriptors(pid)} open, ${before} before`,
      });
    } finally {
      for (const { workload } of users) workload[Symbol.dispose]();
    }
  }, 600_000);
});

function quiet(program: 'server' | 'agent') {
  return { [program]: { log_level: 'INFO' } };
}
