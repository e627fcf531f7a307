import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner, type Signer } from '@bonafide/shared/crypto/signer';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { addSeconds, systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { typescriptThread } from '@bonafide/testing/typescript-thread';
import { waitFor } from '@bonafide/testing/wait-for';
import type { X509SigningAuthority } from '../../authority/x509-signing-authority.js';
import { X509SvidBatchIssuance } from '../issue-x509-svid-batches.js';
import { X509SvidIssuance } from '../issue-x509-svid.js';
import type { SigningOutcome, X509SvidRequest } from '../x509-svid-request.js';
import { countSigningThreads } from './count-signing-threads.js';
import { packRequests, unpackRequests } from './packed-requests.js';
import type { ThreadProgram } from './signing-thread.js';
import { SigningThreads } from './signing-threads.js';
import type { FromThread, ToThread } from './thread-messages.js';

const trustDomain = parseTrustDomain('example.org');
const program = typescriptThread(new URL('signing-thread-main.ts', import.meta.url));
const LIMIT = { limitMs: 100_000 };

let csr: Buffer;
let threads: SigningThreads | undefined;

beforeAll(async () => {
  csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
});

afterEach(async () => {
  await threads?.close();
});

async function createAuthority(): Promise<X509SigningAuthority> {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  const notBefore = addSeconds(systemClock.now(), -10);
  const notAfter = addSeconds(notBefore, 3600);
  const certificate = await createSelfSignedAuthority({ trustDomain, signer, notBefore, notAfter });
  return { authorityId: 'one', certificate, intermediates: [], signer, notAfter };
}

async function startThreads(
  count: number,
  from: ThreadProgram = program,
  clock: Clock = systemClock,
): Promise<SigningThreads> {
  threads = new SigningThreads({
    trustDomain,
    threads: count,
    clock,
    log: silentLogger,
    program: from,
  });
  const started = threads;
  if (from === program) await waitFor('the threads to be ready', () => started.ready === count, LIMIT);
  return started;
}

function requests(count: number, change: Partial<X509SvidRequest> = {}): X509SvidRequest[] {
  return Array.from({ length: count }, (_, index) => ({
    csr,
    spiffeId: parseSpiffeId(`spiffe://example.org/web/${index}`),
    dnsNames: [],
    ttlSeconds: 600,
    ...change,
  }));
}

function issueBatch(
  authority: X509SigningAuthority,
  from: SigningThreads,
  asked: readonly X509SvidRequest[],
): Promise<readonly SigningOutcome[]> {
  const authorities = { activeX509: () => authority };
  const common = { trustDomain, authorities, clock: systemClock, log: silentLogger };
  const mainThread = new X509SvidIssuance(common);
  const issuance = new X509SvidBatchIssuance({ ...common, mainThread, threads: from });
  return issuance.issueBatch(
    asked.map((one) => () => one),
    {
      caller: parseSpiffeId('spiffe://example.org/agent'),
      secondsLeft: undefined,
      patienceMs: 60_000,
      bytes: 0,
      signal: new AbortController().signal,
    },
  );
}

function expectSigned(outcomes: readonly SigningOutcome[], { certificate }: X509SigningAuthority): void {
  outcomes.forEach((outcome, index) => {
    if (outcome.kind === 'refused') throw outcome.error;
    const { certificateChain: chain } = outcome.svid;
    const { spiffeId } = verifyX509Svid({ chain, authorities: [certificate], now: systemClock.now() });
    expect(spiffeId).toBe(`spiffe://example.org/web/${index}`);
  });
}

/** A thread that says it is ready, and then does as the script says. */
function misbehaving(script: string): ThreadProgram {
  const source = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', (message) => { ${script} });
    parentPort.postMessage({ kind: 'ready' });`;
  return { file: new URL(`data:text/javascript,${encodeURIComponent(source)}`) };
}

describe('signing threads', () => {
  it('sign whole batches, each item with an outcome of its own', async () => {
    const authority = await createAuthority();
    const started = await startThreads(2);
    const spoilt = [0, 31, 32, 499];
    const asked = requests(500).map((one, index) =>
      spoilt.includes(index) ? { ...one, csr: Buffer.from('junk') } : one,
    );
    const outcomes = await issueBatch(authority, started, asked);
    expect(outcomes.flatMap(({ kind }, index) => (kind === 'refused' ? [index] : []))).toEqual(spoilt);
    for (const outcome of outcomes) {
      if (outcome.kind === 'refused') expect(outcome.error).toMatchObject({ reason: 'invalid_argument' });
    }
    expectSigned(await issueBatch(authority, started, requests(100)), authority);
    const serials = outcomes.flatMap((outcome) =>
      outcome.kind === 'issued' ? [outcome.svid.serialNumber] : [],
    );
    expect(new Set(serials).size).toBe(496);
  });

  it('forget the key of an authority that signs no more, and sign with none that they do not know', async () => {
    const { signer, certificate, notAfter } = await createAuthority();
    const { file, ...how } = program;
    const worker = new Worker(file, { ...how, workerData: { trustDomain } });
    const answers: FromThread[] = [];
    worker.on('message', (answer: FromThread) => answers.push(answer));
    const tell = (message: ToThread): void => {
      worker.postMessage(message);
    };
    const batch = (number: number, authority: number): ToThread => {
      const packed = packRequests(requests(1));
      return { kind: 'batch', batch: number, authority, now: systemClock.now(), requests: packed };
    };
    const key = signer.keyForWorker?.();
    if (key === undefined) throw new Error('the signer lends no key');
    tell({ kind: 'authority', number: 1, key, certificate, notAfter });
    tell(batch(1, 1));
    tell(batch(2, 7));
    tell({ kind: 'retire', number: 1 });
    tell(batch(3, 1));
    // A key that is not the certificate's is not adopted.
    tell({ kind: 'authority', number: 2, key: await generatePrivateKey('ec-p256'), certificate, notAfter });
    tell(batch(4, 2));
    await waitFor('all answers', () => answers.length === 5, LIMIT);
    await worker.terminate();
    const kinds = answers.map((answer) => (answer.kind === 'ready' ? [0] : [answer.batch, answer.kind]));
    expect(kinds.slice(1).sort()).toEqual([
      [1, 'batch'],
      [2, 'unknown_authority'],
      [3, 'unknown_authority'],
      [4, 'unknown_authority'],
    ]);
  });

  it('that throw, exit or answer nonsense are replaced, and the main thread signs what they were signing', async () => {
    const authority = await createAuthority();
    const dies = ["if (message.kind === 'batch') throw new Error('broken');", 'process.exit(3);'];
    const nonsense =
      "if (message.kind === 'batch') parentPort.postMessage({ kind: 'batch', batch: message.batch, ";
    const lies = [
      `${nonsense} svids: new Uint8Array(3), refusals: [] });`,
      `${nonsense} svids: new Uint8Array(0), refusals: [] });`,
    ];
    for (const script of [...dies, ...lies]) {
      const started = await startThreads(1, misbehaving(script));
      await waitFor('the thread to be ready', () => started.ready === 1, LIMIT);
      expectSigned(await issueBatch(authority, started, requests(100)), authority);
      await waitFor('its successor', () => started.ready === 1, LIMIT);
      await started.close();
    }
  });

  it('that are silent are stopped, and that cannot start harm nobody', async () => {
    const authority = await createAuthority();
    const clock = new FakeClock();
    const mute = await startThreads(1, misbehaving(''), clock);
    await waitFor('the thread to be ready', () => mute.ready === 1, LIMIT);
    const asked = issueBatch(authority, mute, requests(40));
    await waitFor('the batch to be under way', () => clock.pendingTimers > 0, LIMIT);
    await clock.advance(31_000);
    expectSigned(await asked, authority);
    await mute.close();
    const absent = await startThreads(1, { file: new URL('data:text/javascript,throw new Error()') });
    expectSigned(await issueBatch(authority, absent, requests(40)), authority);
  });

  it('leave the signing to a key manager that lends no key, and end at once when they are closed', async () => {
    const authority = await createAuthority();
    const started = await startThreads(1);
    const { keyType, publicKey } = authority.signer;
    const sign: Signer['sign'] = (data, hash) => authority.signer.sign(data, hash);
    const remote = { ...authority, signer: { keyType, publicKey, sign } };
    expect(started.sign(remote, requests(1), systemClock.now())).toBeUndefined();
    const underWay = started.sign(authority, requests(2000), systemClock.now());
    const refused = expect(underWay).rejects.toMatchObject({ reason: 'unavailable' });
    await started.close();
    await refused;
    expect(started.ready).toBe(0);
  });
});

it('of a machine are as many as its cores feed', () => {
  expect([1, 2, 3, 4, 8, 64].map((cores) => countSigningThreads('auto', cores))).toEqual([0, 0, 0, 2, 6, 12]);
  expect(countSigningThreads(3, 1)).toBe(3);
});

it('packed requests come out as they went in, whatever they are', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          csr: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
          dnsNames: fc.array(
            fc.string({ unit: 'binary' }).filter((text) => Buffer.from(text).toString() === text),
            { maxLength: 4 },
          ),
          ttlSeconds: fc.double(),
        }),
        { maxLength: 8 },
      ),
      (items) => {
        const asked = items.map((item) => ({ ...item, spiffeId: parseSpiffeId('spiffe://example.org/a') }));
        expect([...unpackRequests(packRequests(asked))]).toEqual(asked);
      },
    ),
  );
});
