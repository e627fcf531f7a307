import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { credentials, Metadata } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadMessage } from '@bonafide/shared/rpc/load-message';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { MemoryIdentities } from '@bonafide/testing/memory-identities';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { ExitWatch } from '../on-behalf/exit-watch.js';
import { WITHOUT_TOKENS } from '../token-svids/token-samples.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { attestorHost } from '../workload-attestation/attestor-host-samples.js';
import { createWorkloadAttestors, workloadAttestorsConfigSchema } from '../workload-attestation/attestors.js';
import type { WorkloadAttestor } from '../workload-attestation/workload-attestor.js';
import { brokerConfigSchema } from './broker-config.js';
import { BrokerEndpoint } from './broker-endpoint.js';
import { BrokerPolicy } from './broker-policy.js';

const SELF = `unix:uid:${process.geteuid?.() ?? -1}`;
const PID = 'type.googleapis.com/spiffe.broker.WorkloadPIDReference';
const OBJECT = 'type.googleapis.com/spiffe.broker.KubernetesObjectReference';
/** SPIFFE Broker API section 4.8. */
const INVALID = refusal('invalid_argument', 'WORKLOAD_REFERENCE_INVALID');
const NOT_FOUND = refusal('not_found', 'WORKLOAD_NOT_FOUND');
const NOT_ENTITLED = refusal('permission_denied', 'WORKLOAD_NOT_ENTITLED');
const MOST_STREAMS = 20;
const HEADER = { 'broker.spiffe.io': 'true' };

let authority: TestAuthority;
let agent: X509Svid;
let directory: TemporaryDirectory;
let identities: MemoryIdentities;
let bundle: TrustBundle;
let port: number;
let podExists: boolean;
const closers: (() => void)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  agent = await authority.issueX509Svid('/spire/agent/test', { dnsNames: ['agent'] });
});
beforeEach(async () => {
  directory = createTemporaryDirectory();
  identities = new MemoryIdentities(authority.trustDomain);
  bundle = authority.bundle();
  podExists = true;
  const k8s: WorkloadAttestor = {
    attest: () => Promise.resolve([]),
    attestObject: ({ plural, group, uid }) =>
      podExists && plural === 'pods' && group === '' && uid === 'pod-1'
        ? Promise.resolve([{ type: 'k8s', value: 'pod-uid:pod-1' }])
        : Promise.reject(new BonafideError('not_found', 'there is no such pod on this node')),
  };
  const config = brokerConfigSchema.parse({
    socket_path: directory.join('broker.sock'),
    bind_address: '127.0.0.1:1',
    brokers: [
      { id: 'spiffe://example.org/broker', allowed_reference_types: [{ type_url: '*' }] },
      {
        id: 'spiffe://example.org/remote',
        allowed_reference_types: [{ type_url: OBJECT, allow_over_tcp: true }],
      },
    ],
  });
  const attestors = new Map([
    ...createWorkloadAttestors(workloadAttestorsConfigSchema.parse({ unix: {} }), attestorHost()),
    ['k8s', k8s] as const,
  ]);
  const options = { clock: systemClock, log: silentLogger };
  const endpoint = new BrokerEndpoint({
    addresses: [{ path: directory.join('broker.sock') }, { host: '127.0.0.1', port: 0 }],
    identity: () => agent,
    bundle: (name) => (name === bundle.trustDomain ? bundle : undefined),
    identities,
    jwtSvids: WITHOUT_TOKENS.jwtSvids,
    policy: new BrokerPolicy(config.brokers),
    maxStreamsPerBroker: MOST_STREAMS,
    attest: createWorkloadAttestation({ attestors, ...options }),
    attestors,
    exits: new ExitWatch(options),
    ...options,
  });
  [port = 0] = await endpoint.listen();
  closers.push(() => {
    endpoint.close();
  });
  await register(SELF, 'k8s:pod-uid:pod-1');
});
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
  directory.remove();
});

function refusal(reason: string, word: string): object {
  return { reason, errorInfo: { reason: word, domain: 'spiffe.io' } };
}

async function register(...selectors: readonly string[]): Promise<void> {
  const entries = await Promise.all(
    selectors.map(async (selector, index) => ({
      selectors: [selector],
      svid: await authority.issueX509Svid(`/workload-${index}`),
    })),
  );
  identities.set({ entries, bundles: [bundle] });
}

function pem(svid: X509Svid): { key: Buffer; cert: Buffer } {
  return {
    key: Buffer.from(encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey))),
    cert: Buffer.from(svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join('')),
  };
}

function clientOf(svid: X509Svid | undefined, isTcp = false): ServiceClient<'spiffe.broker.API'> {
  const { Client } = loadService('spiffe.broker.API');
  const { key, cert } = svid === undefined ? {} : pem(svid);
  const root = Buffer.from(encodePem('CERTIFICATE', authority.certificate));
  const secure = credentials.createSsl(root, key ?? null, cert ?? null, {
    checkServerIdentity: () => undefined,
  });
  const client = new Client(isTcp ? `127.0.0.1:${port}` : `unix:${directory.join('broker.sock')}`, secure, {
    'grpc.ssl_target_name_override': 'agent',
    'grpc.default_authority': 'agent',
    'grpc.use_local_subchannel_pool': 1,
  });
  closers.push(() => {
    client.close();
  });
  return client;
}

function referring(type: string, value: Buffer): object {
  return { reference: { reference: { type_url: type, value } } };
}
const toPid = (pid: number): object =>
  referring(PID, loadMessage('spiffe.broker.WorkloadPIDReference').serialize({ pid }));
const toPod = (uid: string): object =>
  referring(
    OBJECT,
    loadMessage('spiffe.broker.KubernetesObjectReference').serialize({
      type: { plural: 'pods', group: 'core' },
      uid,
    }),
  );

function subscribe(client: ServiceClient<'spiffe.broker.API'>, request: object, metadata: object = HEADER) {
  return openServerStream(client, 'SubscribeToX509SVID', request, {
    metadata: metadata as Record<string, string>,
    deadlineMs: 30_000,
  });
}

describe('the SPIFFE Broker API', () => {
  it('hands out the identities of a process, until that exits', async () => {
    const client = clientOf(await authority.issueX509Svid('/broker'));
    const child = spawn('sleep', ['600']);
    await once(child, 'spawn');
    const stream = subscribe(client, toPid(child.pid ?? 0));
    const { value } = await stream.next();
    expect(value?.svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.org/workload-0']);
    expect(value?.svids[0]?.bundle).toEqual(authority.certificate);
    const bundles = openServerStream(client, 'SubscribeToX509Bundles', toPid(child.pid ?? 0), {
      metadata: HEADER,
    });
    expect((await bundles.next()).value?.bundles).toEqual({ 'spiffe://example.org': authority.certificate });
    child.kill('SIGKILL');
    await expect(stream.next()).rejects.toMatchObject({ reason: 'not_found' });
    await expect(bundles.next()).rejects.toMatchObject({ reason: 'not_found' });
  });

  it('hands out the identities of an object of Kubernetes, and ends when that is gone', async () => {
    const stream = subscribe(clientOf(await authority.issueX509Svid('/broker')), toPod('pod-1'));
    const { value } = await stream.next();
    expect(value?.svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.org/workload-1']);
    podExists = false;
    await expect(stream.next()).rejects.toMatchObject({ reason: 'not_found' });
  });

  it.each([
    ['no reference', {}, INVALID],
    ['a reference without a type', referring('', Buffer.alloc(0)), INVALID],
    ['a type nobody knows', referring('type.googleapis.com/other.Reference', Buffer.alloc(0)), INVALID],
    ['a malformed pid reference', referring(PID, Buffer.from('ff', 'hex')), INVALID],
    ['pid 0', toPid(0), INVALID],
    ['a negative pid', toPid(-5), INVALID],
    ['a pid that nobody has', toPid(4_194_000), NOT_FOUND],
    ['an object without a name', toPod(''), INVALID],
    ['an object of another node', toPod('pod-2'), NOT_FOUND],
    ['an object with a path for a name', toPod('../pods'), INVALID],
  ] as const)('refuses %s, and tells programs why', async (_name, request, refusal) => {
    const client = clientOf(await authority.issueX509Svid('/broker'));
    await expect(subscribe(client, request).next()).rejects.toMatchObject(refusal);
  });

  it('refuses whoever is no broker, lacks the header, or may not use such a reference here', async () => {
    const self = toPid(process.pid);
    const stranger = clientOf(await authority.issueX509Svid('/stranger'));
    await expect(subscribe(stranger, self).next()).rejects.toMatchObject({ reason: 'permission_denied' });
    const broker = await authority.issueX509Svid('/broker');
    for (const header of [{}, { 'broker.spiffe.io': 'TRUE' }, { 'workload.spiffe.io': 'true' }]) {
      await expect(subscribe(clientOf(broker), self, header).next()).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    }
    await expect(subscribe(clientOf(broker, true), self).next()).rejects.toMatchObject({
      reason: 'permission_denied',
      message: expect.stringContaining('over TCP') as string,
    });
    const remote = clientOf(await authority.issueX509Svid('/remote'), true);
    await expect(subscribe(remote, self).next()).rejects.toMatchObject({ reason: 'permission_denied' });
    expect((await subscribe(remote, toPod('pod-1')).next()).value?.svids).toHaveLength(1);
  });

  it('refuses workloads without an identity', async () => {
    identities.set({ entries: [], bundles: [bundle] });
    const client = clientOf(await authority.issueX509Svid('/broker'));
    await expect(subscribe(client, toPid(process.pid)).next()).rejects.toMatchObject(NOT_ENTITLED);
    const request = { ...toPid(process.pid), audience: ['a'] };
    const answer = callUnary(client, 'FetchJWTSVID', request, { metadata: HEADER });
    await expect(answer).rejects.toMatchObject(NOT_ENTITLED);
  });

  it('bounds the calls of one broker, whatever its connections, and of no other', async () => {
    const broker = await authority.issueX509Svid('/broker');
    const clients = [clientOf(broker), clientOf(broker)];
    const open = Array.from({ length: MOST_STREAMS }, (_, index) =>
      subscribe(clients[index % 2] ?? clientOf(broker), toPid(process.pid)),
    );
    for (const stream of open) await stream.next();
    await expect(subscribe(clientOf(broker), toPid(process.pid)).next()).rejects.toMatchObject({
      reason: 'resource_exhausted',
      message: expect.stringContaining('spiffe://example.org/broker has 20 calls open') as string,
    });
    const remote = clientOf(await authority.issueX509Svid('/remote'), true);
    await subscribe(remote, toPod('pod-1')).next();
    await open[0]?.return(undefined);
    await waitFor('a place', async () => {
      const next = subscribe(clientOf(broker), toPid(process.pid));
      const { value } = await next.next().catch(() => ({ value: undefined }));
      return value;
    });
  });

  it('cuts connections without a certificate, with an expired one, and with one of a stranger', async () => {
    const impostor = await TestAuthority.create('example.org');
    const past = systemClock.now().getTime() - 60_000;
    const expired = { notBefore: new Date(past - 60_000), notAfter: new Date(past) };
    for (const svid of [
      undefined,
      await authority.issueX509Svid('/broker', expired),
      await impostor.issueX509Svid('/broker'),
    ]) {
      await expect(subscribe(clientOf(svid), toPid(process.pid)).next()).rejects.toMatchObject({
        reason: 'unavailable',
      });
    }
  });

  it('ends streams when the SVID of the broker expires, or its authority leaves the bundle', async () => {
    const soon = { notAfter: new Date(systemClock.now().getTime() + 4_000) };
    const short = subscribe(clientOf(await authority.issueX509Svid('/broker', soon)), toPid(process.pid));
    await short.next();
    await expect(short.next()).rejects.toMatchObject({ reason: 'unauthenticated' });
    const long = subscribe(clientOf(await authority.issueX509Svid('/broker')), toPid(process.pid));
    await long.next();
    bundle = (await TestAuthority.create('example.org')).bundle();
    await expect(long.next()).rejects.toMatchObject({ reason: 'unauthenticated' });
  });

  it('speaks TLS 1.3 and resumes no session', async () => {
    const own = {
      ...pem(await authority.issueX509Svid('/broker')),
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    };
    const old = connect({ host: '127.0.0.1', port, ...own, maxVersion: 'TLSv1.2' });
    await expect(once(old, 'secureConnect')).rejects.toThrow();
    let session: Buffer | undefined;
    const first = connect({ host: '127.0.0.1', port, ...own });
    first.on('session', (given) => (session = given));
    await once(first, 'secureConnect');
    await waitFor('the server to speak', () => first.bytesRead > 0);
    const second = connect({ host: '127.0.0.1', port, ...own, session });
    await once(second, 'secureConnect');
    expect(second.isSessionReused()).toBe(false);
    for (const socket of [first, second]) socket.destroy();
  });

  it('has no header that a metadata object could carry twice', async () => {
    const metadata = new Metadata();
    metadata.add('broker.spiffe.io', 'true');
    metadata.add('broker.spiffe.io', 'true');
    const client = clientOf(await authority.issueX509Svid('/broker'));
    const code = await new Promise((resolve) => {
      client.SubscribeToX509SVID(toPid(process.pid), metadata).on('error', (error: { code?: number }) => {
        resolve(error.code);
      });
    });
    expect(code).toBe(3);
  });
});
