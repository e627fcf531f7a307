/** A root has rotated: every agent asks for all of its SVIDs at once. What happens to those that have no time, to the agents' own, and to memory. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { X509SvidIssuance } from '@bonafide/server/issuance/issue-x509-svid';
import { X509SvidBatchIssuance, type QueueLimits } from '@bonafide/server/issuance/issue-x509-svid-batches';
import { SigningThreads } from '@bonafide/server/issuance/threads/signing-threads';
import { createSampleAuthority, createSampleCsrs, SAMPLE_TRUST_DOMAIN } from './sample-authority.js';

export interface StormOptions {
  readonly agents: number;
  readonly svidsOfAgent: number;
  /** Every so many agents is one whose SVIDs end within a minute. */
  readonly everyUrgent: number;
  readonly threads: number;
  readonly limits?: QueueLimits;
}

export interface StormReport {
  readonly seconds: number;
  readonly signed: number;
  /** Calls that were told to come back. */
  readonly sentBack: number;
  /** Mean, in the order in which agents were done: 0 the first, 1 the last. */
  readonly urgentPlace: number;
  readonly freshPlace: number;
  readonly longestOwnRenewalMs: number;
  readonly ownRenewals: number;
  readonly loopDelayP99Ms: number;
  readonly heapGrowthMiB: number;
}

const DISTINCT_CSRS = 50;
const OWN_RENEWALS_EVERY_MS = 50;

export async function rotationStorm(options: StormOptions): Promise<StormReport> {
  const authority = await createSampleAuthority();
  const csrs = await createSampleCsrs(DISTINCT_CSRS);
  const authorities = { activeX509: () => authority };
  const common = { trustDomain: SAMPLE_TRUST_DOMAIN, authorities, clock: systemClock, log: silentLogger };
  const threads =
    options.threads === 0 ? undefined : new SigningThreads({ ...common, threads: options.threads });
  while (threads !== undefined && threads.ready < options.threads) await pause(10);
  const mainThread = new X509SvidIssuance(common);
  const limits = options.limits === undefined ? {} : { limits: options.limits };
  const batches = new X509SvidBatchIssuance({ ...common, ...limits, mainThread, threads });
  const ownIssuer = new X509SvidIssuance(common);
  const requestOf = (path: string, index: number) => {
    const csr = csrs[index % csrs.length] ?? Buffer.alloc(0);
    return { csr, spiffeId: parseSpiffeId(`spiffe://example.org${path}`), dnsNames: [], ttlSeconds: 3600 };
  };

  const places: { readonly isUrgent: boolean }[] = [];
  let sentBack = 0;
  let signed = 0;
  const storm = async (agent: number): Promise<void> => {
    const isUrgent = agent % options.everyUrgent === 0;
    const path = `/spire/agent/bench/${agent}`;
    const requests = Array.from(
      { length: options.svidsOfAgent },
      (_, index) => () => requestOf(`/web/${agent}/${index}`, index),
    );
    const call = {
      caller: parseSpiffeId(`spiffe://example.org${path}`),
      secondsLeft: isUrgent ? 30 : undefined,
      patienceMs: 60_000,
      bytes: requests.length * (csrs[0]?.length ?? 0),
      signal: new AbortController().signal,
    };
    for (;;) {
      try {
        const outcomes = await batches.issueBatch(requests, call);
        signed += outcomes.filter(({ kind }) => kind === 'issued').length;
        places.push({ isUrgent });
        return;
      } catch (error) {
        if (!hasReason(error, 'resource_exhausted') || error.retryAfterMs === undefined) throw error;
        sentBack += 1;
        await pause(error.retryAfterMs);
      }
    }
  };

  const heapBefore = process.memoryUsage().heapUsed;
  let heapMost = heapBefore;
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  const startMs = performance.now();
  const own: number[] = [];
  const state = { isOver: false };
  const renewing = (async () => {
    while (!state.isOver) {
      const beganMs = performance.now();
      await ownIssuer.issue(requestOf('/spire/agent/bench/own', own.length));
      own.push(performance.now() - beganMs);
      heapMost = Math.max(heapMost, process.memoryUsage().heapUsed);
      await pause(OWN_RENEWALS_EVERY_MS);
    }
  })();
  // As from so many connections: the agents' calls do not arrive in one turn of the event loop.
  const agents: Promise<void>[] = [];
  for (let agent = 0; agent < options.agents; agent += 1) {
    agents.push(storm(agent));
    if (agent % 10 === 9) await pause(0);
  }
  await Promise.all(agents);
  const seconds = (performance.now() - startMs) / 1000;
  state.isOver = true;
  await renewing;
  delays.disable();
  batches.close();
  await threads?.close();
  const meanPlace = (isUrgent: boolean): number => {
    const mine = places.flatMap((place, index) => (place.isUrgent === isUrgent ? [index] : []));
    return mine.reduce((sum, index) => sum + index, 0) / Math.max(1, mine.length * (places.length - 1));
  };
  return {
    ...{ seconds, signed, sentBack, urgentPlace: meanPlace(true), freshPlace: meanPlace(false) },
    ...{ longestOwnRenewalMs: Math.max(...own), ownRenewals: own.length },
    loopDelayP99Ms: delays.percentile(99) / 1e6,
    heapGrowthMiB: (heapMost - heapBefore) / 2 ** 20,
  };
}
