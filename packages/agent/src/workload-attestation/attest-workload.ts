/** Attests a process: asks every attestor at once, within a time limit, and believes nothing about a process that has exited. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { failureOf, inSpan } from '@bonafide/shared/telemetry/tracer';
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
  call: AttestationCall,
) => Promise<readonly Selector[]>;

/** What each attestor found, those that failed included; takes the process over as `WorkloadAttestation` does. */
export type WorkloadExamination = (
  process: HeldProcess,
  call: AttestationCall,
) => Promise<readonly AttestorFinding[]>;

export interface AttestationCall {
  readonly requestId: string;
  readonly signal: AbortSignal;
}

export interface AttestorFinding {
  /** As the configuration names the attestor. */
  readonly attestor: string;
  readonly durationMs: number;
  /** In the order in which the attestor gave them; undefined when it failed. */
  readonly selectors: readonly Selector[] | undefined;
  /** Why it failed. */
  readonly error?: unknown;
}

export interface WorkloadAttestationOptions {
  readonly attestors: ReadonlyMap<string, WorkloadAttestor>;
  readonly clock: Clock;
  readonly log: Logger;
  /** An attestor that takes longer is treated as one that failed. */
  readonly timeLimitMs?: number;
  /** Told of what each attestor found. */
  readonly onFinding?: (finding: AttestorFinding) => void;
}

const DEFAULT_TIME_LIMIT_MS = 10_000;

export function createWorkloadAttestation(options: WorkloadAttestationOptions): WorkloadAttestation {
  const examine = createWorkloadExamination(options);
  return async (process, call) => {
    const findings = await inSpan('attestation', {}, () => examine(process, call));
    for (const finding of findings) options.onFinding?.(finding);
    return collectSelectors(findings, ({ attestor, error }) => {
      const fields = { request_id: call.requestId, attestor, pid: process.pid, err: error };
      options.log.error(fields, 'workload attestor failed');
    });
  };
}

export function createWorkloadExamination({
  attestors,
  clock,
  timeLimitMs = DEFAULT_TIME_LIMIT_MS,
}: Omit<WorkloadAttestationOptions, 'log' | 'onFinding'>): WorkloadExamination {
  return async (process, { signal }) => {
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
    const { answered, ended } = runAttestors({ attestors, clock }, process, stop.signal);
    try {
      const findings = await answered;
      if (signal.aborted) throw cancelled();
      const changed = findings.find(({ error }) => hasReason(error, 'unauthenticated'));
      if (changed === undefined && !process.isAlive()) {
        throw new BonafideError('unauthenticated', 'the caller exited while it was attested');
      }
      return findings;
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', onCancel);
      // Not before it was asked whether it is alive: what is closed no longer is.
      void ended.then(() => {
        process.close();
      });
    }
  };
}

/** Answers when all have answered or the signal fires; `ended` when all have really ended. */
function runAttestors(
  { attestors, clock }: Pick<WorkloadAttestationOptions, 'attestors' | 'clock'>,
  process: HeldProcess,
  signal: AbortSignal,
): { readonly answered: Promise<readonly AttestorFinding[]>; readonly ended: Promise<unknown> } {
  const start = clock.monotonicMs();
  const finding = (name: string, outcome: Pick<AttestorFinding, 'selectors' | 'error'>): AttestorFinding => ({
    attestor: name,
    durationMs: clock.monotonicMs() - start,
    ...outcome,
  });
  const runs = [...attestors].map(([name, attestor]) => ({
    name,
    ended: tracedAttestor(name, attestor, process, signal).then((outcome) => finding(name, outcome)),
  }));
  const late = new Promise<unknown>((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => {
      resolve(signal.reason);
    });
  });
  const answered = runs.map(({ name, ended }) =>
    Promise.race([ended, late.then((error) => finding(name, { selectors: undefined, error }))]),
  );
  return { answered: Promise.all(answered), ended: Promise.all(runs.map(({ ended }) => ended)) };
}

function tracedAttestor(
  name: string,
  ...run: Parameters<typeof runAttestor>
): ReturnType<typeof runAttestor> {
  return inSpan('attestor', { 'bonafide.attestor': name }, async (span) => {
    const outcome = await runAttestor(...run);
    if (outcome.selectors === undefined) span?.end(failureOf(outcome.error));
    return outcome;
  });
}

async function runAttestor(
  attestor: WorkloadAttestor,
  process: HeldProcess,
  signal: AbortSignal,
): Promise<Pick<AttestorFinding, 'selectors' | 'error'>> {
  try {
    const selectors: unknown = await attestor.attest(process, signal);
    if (!isSelectors(selectors))
      throw new BonafideError('internal', 'the attestor gave what are no selectors');
    return { selectors };
  } catch (error) {
    return { selectors: undefined, error };
  }
}

/** An attestor is a program's guest: what it gives is looked at before all the others' word is joined with it. */
function isSelectors(selectors: unknown): selectors is readonly Selector[] {
  return Array.isArray(selectors) && selectors.every(isSelector);
}

function isSelector(selector: unknown): boolean {
  if (typeof selector !== 'object' || selector === null) return false;
  if (!('type' in selector && 'value' in selector)) return false;
  const { type, value } = selector;
  return typeof value === 'string' && typeof type === 'string' && type !== '' && !type.includes(':');
}

function collectSelectors(
  findings: readonly AttestorFinding[],
  reportFailure: (finding: AttestorFinding) => void,
): readonly Selector[] {
  const failures = findings.filter(({ selectors }) => selectors === undefined);
  for (const failure of failures) reportFailure(failure);
  // Facts about two different identities must never be mixed, so that one attestor's word suffices.
  const changed = failures.find(({ error }) => hasReason(error, 'unauthenticated'));
  if (changed !== undefined) throw changed.error;
  if (failures.length > 0 && failures.length === findings.length) {
    throw new BonafideError('unavailable', 'workload attestation failed');
  }
  return normalizeSelectors(findings.flatMap(({ selectors }) => selectors ?? []));
}

function cancelled(): BonafideError {
  return new BonafideError('cancelled', 'the caller went away while it was attested');
}
