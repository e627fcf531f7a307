/** Attests a process: asks every attestor at once, within a time limit, and believes nothing about a process that has exited. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { HeldProcess } from './attested-process.js';
import type { WorkloadAttestor } from './workload-attestor.js';

/**
 * The selectors of a process, normalized. Takes the process over and closes it once every attestor has let go of it, which may be
 * later than the answer. An attestor that fails is logged and adds nothing.
 * @throws BonafideError `unavailable` when no attestor succeeded; `unauthenticated` when the process exited meanwhile or is no longer
 * who it was when it connected; `cancelled` by the signal.
 */
export type WorkloadAttestation = (
  process: HeldProcess,
  call: { readonly requestId: string; readonly signal: AbortSignal },
) => Promise<readonly Selector[]>;

export interface WorkloadAttestationOptions {
  readonly attestors: ReadonlyMap<string, WorkloadAttestor>;
  readonly clock: Clock;
  readonly log: Logger;
  /** An attestor that takes longer is treated as one that failed. */
  readonly timeLimitMs?: number;
}

interface Outcome {
  readonly name: string;
  readonly selectors?: readonly Selector[];
  readonly error?: unknown;
}

const DEFAULT_TIME_LIMIT_MS = 10_000;

export function createWorkloadAttestation({
  attestors,
  clock,
  log,
  timeLimitMs = DEFAULT_TIME_LIMIT_MS,
}: WorkloadAttestationOptions): WorkloadAttestation {
  return async (process, { requestId, signal }) => {
    const stop = new AbortController();
    const timer = clock.schedule(timeLimitMs, () => {
      stop.abort(
        new BonafideError('deadline_exceeded', `the attestor gave no answer within ${timeLimitMs} ms`),
      );
    });
    const onCancel = (): void => {
      stop.abort(cancelled());
    };
    if (signal.aborted) onCancel();
    signal.addEventListener('abort', onCancel, { once: true });
    try {
      const outcomes = await runAttestors(attestors, process, stop.signal);
      if (signal.aborted) throw cancelled();
      const selectors = collectSelectors(outcomes, (outcome) => {
        const fields = { requestId, attestor: outcome.name, pid: process.pid, err: outcome.error };
        log.error(fields, 'workload attestor failed');
      });
      if (!process.isAlive())
        throw new BonafideError('unauthenticated', 'the caller exited while it was attested');
      return selectors;
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', onCancel);
    }
  };
}

/** Answers when all have answered or the signal fires; closes the process when all have really ended. */
async function runAttestors(
  attestors: ReadonlyMap<string, WorkloadAttestor>,
  process: HeldProcess,
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  const runs = [...attestors].map(([name, attestor]) => ({
    name,
    ended: runAttestor(name, attestor, process, signal),
  }));
  void Promise.all(runs.map(({ ended }) => ended)).then(() => {
    process.close();
  });
  const late = new Promise<unknown>((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => {
      resolve(signal.reason);
    });
  });
  return await Promise.all(
    runs.map(({ name, ended }) => Promise.race([ended, late.then((error): Outcome => ({ name, error }))])),
  );
}

async function runAttestor(
  name: string,
  attestor: WorkloadAttestor,
  process: HeldProcess,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    return { name, selectors: await attestor.attest(process, signal) };
  } catch (error) {
    return { name, error };
  }
}

function collectSelectors(
  outcomes: readonly Outcome[],
  reportFailure: (outcome: Outcome) => void,
): readonly Selector[] {
  const failures = outcomes.filter((outcome) => outcome.selectors === undefined);
  for (const failure of failures) reportFailure(failure);
  // Facts about two different identities must never be mixed, so that one attestor's word suffices.
  const changed = failures.find(({ error }) => hasReason(error, 'unauthenticated'));
  if (changed !== undefined) throw changed.error;
  if (failures.length > 0 && failures.length === outcomes.length) {
    throw new BonafideError('unavailable', 'workload attestation failed');
  }
  return normalizeSelectors(outcomes.flatMap(({ selectors }) => selectors ?? []));
}

function cancelled(): BonafideError {
  return new BonafideError('cancelled', 'the caller went away while it was attested');
}
