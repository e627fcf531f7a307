import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { MemoryIdentities } from '@bonafide/testing/memory-identities';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { WITHOUT_TOKENS } from '../token-svids/token-samples.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import type { WorkloadAttestor } from '../workload-attestation/workload-attestor.js';
import { createWorkloadEndpoint, type WorkloadEndpoint } from './workload-endpoint.js';

const { definition } = loadService('SpiffeWorkloadAPI');
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const FETCH_BUNDLES = 'SpiffeWorkloadAPI/FetchX509Bundles';
const TIME_LIMIT_MS = 5000;
const FAILED = { code: status.UNAVAILABLE, message: 'workload attestation failed' };

const good: WorkloadAttestor = { attest: () => Promise.resolve([{ type: 'good', value: 'yes' }]) };

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly request_id?: string;
  readonly attestor?: string;
  readonly pid?: number;
  readonly error?: string;
}

let authority: TestAuthority;
let directory: TemporaryDirectory;
let identities: MemoryIdentities;
let endpoint: WorkloadEndpoint;
let workload: WorkloadProcess;
let clock: FakeClock;
/** Of the attestor that hangs, one for each caller that it was asked about. */
let hanging: AbortSignal[];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
});
beforeEach(async () => {
  directory = createTemporaryDirectory({ isPublic: true });
  identities = new MemoryIdentities(authority.trustDomain);
  const svid = await authority.issueX509Svid('/good');
  identities.set({ entries: [{ selectors: ['good:yes'], svid }], bundles: [authority.bundle()] });
  clock = new FakeClock();
  hanging = [];
});
afterEach(async () => {
  workload[Symbol.dispose]();
  await endpoint.close(0);
  directory.remove();
});

function hangs(): WorkloadAttestor {
  return {
    attest: (_process, signal) =>
      new Promise(() => {
        hanging.push(signal); // and never looks at it
      }),
  };
}

function throws(message: string): WorkloadAttestor {
  return {
    attest: () => {
      throw new Error(message);
    },
  };
}

/** Serves, and connects a process of its own. */
async function serve(attestors: Readonly<Record<string, WorkloadAttestor>>): Promise<void> {
  const log = createLogger({ level: 'debug', format: 'json', file: directory.join('agent.log') });
  const socketPath = directory.join('agent.sock');
  endpoint = createWorkloadEndpoint({
    socketPath,
    identities,
    ...WITHOUT_TOKENS,
    attest: createWorkloadAttestation({
      attestors: new Map(Object.entries(attestors)),
      clock,
      log,
      timeLimitMs: TIME_LIMIT_MS,
    }),
    clock: systemClock,
    log,
  });
  await endpoint.listen();
  workload = await WorkloadProcess.start();
  await workload.connect(socketPath);
}

async function idsOf(call: number): Promise<readonly string[]> {
  const message = await workload.message(call);
  return definition.FetchX509SVID.responseDeserialize(message).svids.map(({ spiffeId }) => spiffeId);
}

function logLines(): readonly LogLine[] {
  const text = readFileSync(directory.join('agent.log'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);
}

/** The one line about an attestor that failed. */
function failure(): LogLine {
  const failures = logLines().filter(({ msg }) => msg === 'workload attestor failed');
  expect(failures).toHaveLength(1);
  expect(failures[0]?.level).toBe('error');
  return failures[0] ?? { level: '', msg: '' };
}

/** What the log says of the call that was refused, under the ID that the attestor's failure has. */
async function refusal(requestId: string | undefined): Promise<LogLine> {
  expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
  return await waitFor('the refusal in the log', () =>
    logLines().find(({ msg, request_id: id }) => msg === 'a call was refused' && id === requestId),
  );
}

describe('a caller of the Workload API', () => {
  it('is not refused for good by an attestor that hangs, when another one answers', async () => {
    await serve({ good, slow: hangs() });
    const call = workload.call(FETCH);
    await waitFor('the attestor to be asked', () => hanging.length === 1);
    await clock.advance(TIME_LIMIT_MS - 1);
    expect([workload.messages(call), workload.statusNow(call)]).toEqual([[], undefined]);
    await clock.advance(1);
    expect(await idsOf(call)).toEqual(['spiffe://example.org/good']);
    expect(failure()).toMatchObject({ attestor: 'slow', pid: workload.ownPid });
    expect(failure().request_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(failure().error).toBe(`the attestor gave no answer within ${TIME_LIMIT_MS} ms`);
  });

  it('is told when the only attestor hangs; the log has the reason, under the ID of the call', async () => {
    await serve({ slow: hangs() });
    const call = workload.call(FETCH);
    await waitFor('the attestor to be asked', () => hanging.length === 1);
    await clock.advance(TIME_LIMIT_MS);
    expect(await workload.status(call)).toEqual(FAILED);
    expect(hanging[0]?.aborted).toBe(true);
    const { attestor, error, request_id: requestId } = failure();
    expect([attestor, error]).toEqual(['slow', 'the attestor gave no answer within 5000 ms']);
    expect((await refusal(requestId)).error).toBe('workload attestation failed');
    expect(identities.subscriberCount).toBe(0);
  });

  it('that hangs up while an attestor hangs has it told, and the next caller is served', async () => {
    await serve({ good, slow: hangs() });
    const first = workload.call(FETCH);
    await waitFor('the attestor to be asked', () => hanging.length === 1);
    workload.cancel(first);
    await waitFor('the attestor to be told', () => hanging[0]?.aborted);
    const next = workload.call(FETCH);
    await waitFor('the attestor to be asked for the next', () => hanging.length === 2);
    await clock.advance(TIME_LIMIT_MS);
    expect(await idsOf(next)).toEqual(['spiffe://example.org/good']);
  });

  it('does without an attestor that throws before it promises anything', async () => {
    await serve({ bad: throws('the file /etc/secret is broken'), good });
    expect(await idsOf(workload.call(FETCH))).toEqual(['spiffe://example.org/good']);
    expect(failure()).toMatchObject({ attestor: 'bad', error: 'the file /etc/secret is broken' });
  });

  it.each([FETCH, FETCH_BUNDLES])(
    'is not told why the only attestor threw, the log is, under the ID of the call (%s)',
    async (method) => {
      await serve({ bad: throws('the file /etc/secret is broken') });
      expect(await workload.status(workload.call(method))).toEqual(FAILED);
      const { error, request_id: requestId } = failure();
      expect(error).toBe('the file /etc/secret is broken');
      await refusal(requestId);
      expect(workload.isDisconnected).toBe(false);
    },
  );
});
