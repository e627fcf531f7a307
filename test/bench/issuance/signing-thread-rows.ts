/** What signing threads bring: certificates a second, and what one costs the main thread, for each count of them. */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { X509SvidIssuance } from '@bonafide/server/issuance/issue-x509-svid';
import { X509SvidBatchIssuance } from '@bonafide/server/issuance/issue-x509-svid-batches';
import { SigningThreads } from '@bonafide/server/issuance/threads/signing-threads';
import type { Row } from '../row.js';
import { createSampleAuthority, createSampleCsrs, SAMPLE_TRUST_DOMAIN } from './sample-authority.js';

const THREAD_COUNTS = [0, 1, 2, 3];
const DISTINCT_CSRS = 500;
const BATCH = 500;
/** Batches under way at once, of as many agents. */
const AGENTS = 8;
const MEASURED_MS = 2000;

/** @param raw what the cryptography alone allows, measured in the same run. */
export async function signingThreadRows(raw: NonNullable<Row['reference']>): Promise<Row[]> {
  const csrs = await createSampleCsrs(DISTINCT_CSRS);
  const rows: Row[] = [];
  for (const threads of THREAD_COUNTS) {
    const { perSecond, mainThreadMicroseconds } = await measure(threads, csrs);
    const what = threads === 0 ? 'thread pool alone' : `${threads} signing thread${threads === 1 ? '' : 's'}`;
    rows.push({ what: `${what}: X.509-SVIDs issued`, value: perSecond, unit: '/s', reference: raw });
    rows.push({
      what: `${what}: main thread per SVID`,
      value: mainThreadMicroseconds,
      unit: 'us',
      ...(threads === 0 ? {} : { target: '< 10 us' }),
    });
  }
  return rows;
}

interface Measured {
  readonly perSecond: number;
  readonly mainThreadMicroseconds: number;
}

async function measure(count: number, csrs: readonly Buffer[]): Promise<Measured> {
  const authority = await createSampleAuthority();
  const authorities = { activeX509: () => authority };
  const common = { trustDomain: SAMPLE_TRUST_DOMAIN, authorities, clock: systemClock, log: silentLogger };
  const threads = count === 0 ? undefined : new SigningThreads({ ...common, threads: count });
  while (threads !== undefined && threads.ready < count) await pause(10);
  const batches = new X509SvidBatchIssuance({ ...common, mainThread: new X509SvidIssuance(common), threads });
  const spiffeId = parseSpiffeId('spiffe://example.org/ns/default/sa/workload-1');
  const requests = csrs
    .slice(0, BATCH)
    .map((csr) => () => ({ csr, spiffeId, dnsNames: [], ttlSeconds: 3600 }));
  let done = 0;
  const ask = async (agent: number, untilMs: number): Promise<void> => {
    const caller = parseSpiffeId(`spiffe://example.org/spire/agent/bench/${agent}`);
    const signal = new AbortController().signal;
    while (performance.now() < untilMs) {
      const call = { caller, secondsLeft: undefined, patienceMs: 60_000, bytes: 0, signal };
      const outcomes = await batches.issueBatch(requests, call);
      if (outcomes.some(({ kind }) => kind === 'refused')) throw new Error('an SVID was not signed');
      done += outcomes.length;
    }
  };
  const run = (ms: number): Promise<unknown> =>
    Promise.all(Array.from({ length: AGENTS }, (_, agent) => ask(agent, performance.now() + ms)));
  await run(MEASURED_MS / 2); // warm
  done = 0;
  const [startMs, startNs] = [performance.now(), mainThreadNanoseconds()];
  await run(MEASURED_MS);
  const measured = {
    perSecond: (done * 1000) / (performance.now() - startMs),
    mainThreadMicroseconds: (mainThreadNanoseconds() - startNs) / 1000 / done,
  };
  batches.close();
  await threads?.close();
  return measured;
}

/** Time on a processor; of a process's threads the first has its number. */
function mainThreadNanoseconds(): number {
  const [running = '0'] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
  return Number(running);
}
