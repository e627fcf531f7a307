/** The spans of a batch that is signed: how long it waited in the queue, and how long it was signed. */
import { beginSpan, failureOf } from '@bonafide/shared/telemetry/tracer';
import type { SigningOutcome, X509SvidRequest } from './x509-svid-request.js';

type Requests = readonly (() => X509SvidRequest)[];

/** @param issue is given requests that tell when the first of them has its turn. */
export async function tracedBatch(
  requests: Requests,
  issue: (requests: Requests) => Promise<readonly SigningOutcome[]>,
): Promise<readonly SigningOutcome[]> {
  const size = { 'bonafide.batch_size': requests.length };
  const queued = beginSpan('issuance.queue', size);
  if (queued === undefined) return issue(requests);
  let signing: ReturnType<typeof beginSpan>;
  const begin = (): void => {
    if (queued.isOver) return;
    queued.end();
    signing = beginSpan('issuance.sign', size);
  };
  const told = requests.map((request) => () => {
    begin();
    return request();
  });
  try {
    const outcomes = await issue(told);
    signing?.set({ 'bonafide.refused': outcomes.filter(({ kind }) => kind === 'refused').length });
    return outcomes;
  } catch (error) {
    signing?.end(failureOf(error));
    queued.end(failureOf(error));
    throw error;
  } finally {
    queued.end();
    signing?.end();
  }
}
