import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { credentials, status } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { addLoggerService } from '../endpoints/admin-logger.js';
import { AdminEndpoint } from '../endpoints/admin-endpoint.js';
import { delegatesAccess } from '../endpoints/admin-socket-access.js';
import { ExitWatch } from '../on-behalf/exit-watch.js';
import { sampleBundle, sampleEntry, sampleSvid, TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { TokenServer } from '../token-svids/token-server-samples.js';
import { JwtSvids } from '../token-svids/jwt-svids.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { attestorHost } from '../workload-attestation/attestor-host-samples.js';
import { createWorkloadAttestors, workloadAttestorsConfigSchema } from '../workload-attestation/attestors.js';
import { DELEGATED_IDENTITY, DelegatedIdentity } from './delegated-identity.js';

const SELF = `unix:uid:${process.geteuid?.() ?? -1}`;
const ALICE = { uid: 64_001, gid: 64_001 };
const DELEGATE = parseSpiffeId('spiffe://example.org/delegate');
const SUBSCRIBE = `${DELEGATED_IDENTITY}/SubscribeToX509SVIDs`;

let directory: TemporaryDirectory;
let cache: SvidCache;
let exits: ExitWatch;
let server: TokenServer;
let client: ServiceClient<typeof DELEGATED_IDENTITY>;
const closers: (() => void)[] = [];

beforeAll(async () => {
  server = await TokenServer.create(systemClock);
});
beforeEach(async () => {
  directory = createTemporaryDirectory({ isPublic: true });
  cache = new SvidCache({
    trustDomain: TRUST_DOMAIN,
    clock: systemClock,
    log: silentLogger,
    maximumSvids: 100,
  });
  const stop = new AbortController();
  cache.connect({
    need: (entry) => {
      queueMicrotask(() => {
        cache.install(new Map([[entry.id, sampleSvid(entry)]]));
      });
    },
    release: () => undefined,
  });
  exits = new ExitWatch({ clock: systemClock });
  const log = silentLogger;
  const attestors = createWorkloadAttestors(
    workloadAttestorsConfigSchema.parse({ unix: {} }),
    attestorHost(),
  );
  const endpoint = new AdminEndpoint({
    socketPath: directory.join('admin', 'admin.sock'),
    services: [
      (added) => {
        addLoggerService(added, log);
      },
    ],
    delegation: new DelegatedIdentity({
      identities: cache,
      followBundles: (listener) => cache.followBundles(listener),
      jwtSvids: new JwtSvids({
        ...{ cache, signer: server, maximumKept: 10, random: Math.random },
        ...{ clock: systemClock, log, signal: stop.signal },
      }),
      authorizedDelegates: new Set([DELEGATE]),
      attest: createWorkloadAttestation({ attestors, clock: systemClock, log }),
      exits,
      maxStreamsPerUid: () => 100,
      clock: systemClock,
      log,
    }),
    access: delegatesAccess(canRunAsOthers() ? ALICE.gid : undefined, 0o666),
    clock: systemClock,
    log,
  });
  await endpoint.listen();
  const { Client } = loadService(DELEGATED_IDENTITY);
  client = new Client(`unix:${directory.join('admin', 'admin.sock')}`, credentials.createInsecure());
  closers.push(
    () => {
      client.close();
    },
    () => {
      endpoint.close();
    },
    () => {
      stop.abort();
    },
  );
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
  directory.remove();
});

function tell(...entries: readonly ReturnType<typeof sampleEntry>[]): void {
  cache.apply({
    kind: 'snapshot',
    entries: [...entries],
    bundles: [server.bundle(), sampleBundle('other.test')],
  });
}

const delegate = sampleEntry('delegate', [SELF]);
const web = sampleEntry('web', ['k8s:ns:web'], { federatesWith: [sampleBundle('other.test').trustDomain] });
const WEB = { selectors: [{ type: 'k8s', value: 'ns:web' }] };

function subscribe(request: object) {
  return openServerStream(client, 'SubscribeToX509SVIDs', request, {});
}

function idsIn(message: {
  x509Svids: readonly { x509Svid: { id: { path: string } | null } | null }[];
}): unknown {
  return message.x509Svids.map(({ x509Svid }) => x509Svid?.id?.path);
}

describe('the Delegated Identity API', () => {
  it('hands out what the selectors that a delegate names are entitled to, and follows it', async () => {
    tell(delegate, web, sampleEntry('admin', ['k8s:ns:web'], { isAdmin: true }));
    const stream = subscribe(WEB);
    const { value } = await stream.next();
    expect(value && idsIn(value)).toEqual(['/web']);
    expect(value?.federatesWith).toEqual(['spiffe://other.test']);
    expect(value?.x509Svids[0]?.x509SvidKey.length).toBeGreaterThan(50);
    tell(delegate);
    const { value: next } = await stream.next();
    expect(next && idsIn(next)).toEqual([]);
    await stream.return(undefined);
  });

  it('gives tokens and all bundles', async () => {
    tell(delegate, web);
    const { svids } = await callUnary(client, 'FetchJWTSVIDs', { ...WEB, audience: ['a'] }, {});
    expect(svids.map(({ id }) => id?.path)).toEqual(['/web']);
    await expect(callUnary(client, 'FetchJWTSVIDs', WEB, {})).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
    const x509 = openServerStream(client, 'SubscribeToX509Bundles', {}, {});
    expect(Object.keys((await x509.next()).value?.caCertificates ?? {})).toEqual([
      'spiffe://example.org',
      'spiffe://other.test',
    ]);
    cache.apply({ kind: 'snapshot', entries: [delegate], bundles: [server.bundle()] });
    expect(Object.keys((await x509.next()).value?.caCertificates ?? {})).toEqual(['spiffe://example.org']);
    await x509.return(undefined);
  });

  it('ends with the registration of the delegate, in whatever it holds open', async () => {
    tell(delegate, web);
    const streams = [subscribe(WEB), openServerStream(client, 'SubscribeToJWTBundles', {}, {})];
    for (const stream of streams) await stream.next();
    tell(web, sampleEntry('delegate', ['unix:uid:4294967294']));
    for (const stream of streams) {
      await expect(stream.next()).rejects.toMatchObject({
        reason: 'permission_denied',
        message: 'no identity issued',
      });
    }
    tell(web, sampleEntry('other', [SELF]));
    await expect(subscribe(WEB).next()).rejects.toMatchObject({
      message: expect.stringContaining('not configured as an authorized delegate') as string,
    });
  });

  it.each([
    ['neither selectors nor pid', {}],
    ['both', { ...WEB, pid: 1 }],
    ['a negative pid', { pid: -1 }],
    ['no selector', { selectors: [{ type: '', value: '' }] }],
  ])('refuses %s', async (_name, request) => {
    tell(delegate);
    await expect(subscribe(request).next()).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('attests a pid, and ends when that process does', async () => {
    tell(delegate, sampleEntry('mine', [SELF]));
    const child = spawn('sleep', ['600']);
    await once(child, 'spawn');
    const stream = subscribe({ pid: child.pid });
    const { value } = await stream.next();
    expect(value && idsIn(value)).toEqual(['/delegate', '/mine']);
    expect(exits.size).toBe(1);
    child.kill('SIGKILL');
    await expect(stream.next()).rejects.toMatchObject({ reason: 'not_found' });
    await waitFor('the watch to end', () => exits.size === 0);
    await expect(subscribe({ pid: child.pid }).next()).rejects.toMatchObject({ reason: 'not_found' });
    expect(exits.size).toBe(0);
  });

  it.runIf(canRunAsOthers())(
    'is all that another user reaches, and nothing without an authorized identity',
    async () => {
      tell(delegate, web);
      const socketPath = directory.join('admin', 'admin.sock');
      chmodSync(directory.join('admin'), 0o755);
      const workload = await WorkloadProcess.start(ALICE);
      try {
        await workload.connect(socketPath);
        const getLogger = workload.call('spire.api.agent.logger.v1.Logger/GetLogger');
        expect(await workload.status(getLogger)).toMatchObject({
          code: status.PERMISSION_DENIED,
          message: expect.stringContaining('not the owner') as string,
        });
        const unknown = workload.call('no.such.Service/Method');
        expect(await workload.status(unknown)).toMatchObject({ code: status.UNIMPLEMENTED });
        const refused = workload.call(SUBSCRIBE);
        expect(await workload.status(refused)).toEqual({
          code: status.PERMISSION_DENIED,
          message: 'no identity issued',
        });
        tell(sampleEntry('delegate', [`unix:uid:${ALICE.uid}`]));
        const accepted = workload.call(SUBSCRIBE);
        expect(await workload.status(accepted)).toMatchObject({ code: status.INVALID_ARGUMENT }); // it names nobody
      } finally {
        workload[Symbol.dispose]();
      }
    },
  );

  it.runIf(canRunAsOthers())('ends when the delegate does, whoever has its connection then', async () => {
    tell(sampleEntry('delegate', [`unix:uid:${ALICE.uid}`]), web);
    const caller = await WorkloadProcess.startHandingOver(
      {
        socketPath: directory.join('admin', 'admin.sock'),
        method: `${DELEGATED_IDENTITY}/SubscribeToX509Bundles`,
        program: ['sleep', '600'],
      },
      ALICE,
    );
    closers.push(() => {
      caller[Symbol.dispose]();
    });
    await caller.message(1);
    caller.child.kill('SIGKILL');
    await caller.disconnected();
  });

  it.runIf(canRunAsOthers())('takes a pid for one of its own namespace', async () => {
    tell(delegate, sampleEntry('alice', [`unix:uid:${ALICE.uid}`]));
    const inside = ['setpriv', `--reuid=${ALICE.uid}`, '--clear-groups', 'sleep', '600'];
    const outside = spawn('unshare', ['--pid', '--fork', '--kill-child', ...inside]);
    closers.push(() => outside.kill('SIGKILL'));
    const pid = await waitFor('the process that is number 1 in there', () => {
      const [child] = readFileSync(`/proc/${outside.pid}/task/${outside.pid}/children`, 'utf8').split(' ');
      const number = Number(child);
      return number > 0 && readFileSync(`/proc/${number}/cmdline`, 'utf8').startsWith('sleep') && number;
    });
    expect(idsIn((await subscribe({ pid }).next()).value ?? { x509Svids: [] })).toEqual(['/alice']);
    const first = (await subscribe({ pid: 1 }).next()).value ?? { x509Svids: [] };
    expect(idsIn(first)).not.toContain('/alice');
  });

  it.runIf(canRunAsOthers())('has a socket for its group alone unless told', () => {
    expect(delegatesAccess(undefined).mode).toBe(0o660);
    expect(statSync(directory.join('admin')).gid).toBe(ALICE.gid);
  });
});
