/** Whom somebody else asks for: a process or an object of this node, as the agent itself attests it. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Selector } from '@bonafide/shared/registration/selector';
import { holdNamedProcess } from '../endpoints/named-process.js';
import type { AttestationCall, WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import type { ExitWatch } from './exit-watch.js';

export interface Subject {
  readonly selectors: readonly Selector[];
  /**
   * Tells when nothing more may be done in its name, at once when that is so already.
   */
  onEnd(listener: (why: BonafideError) => void): void;
  /** Lets go of it. */
  close(): void;
}

export interface ProcessSubjects {
  readonly attest: WorkloadAttestation;
  readonly exits: ExitWatch;
}

/**
 * Whoever has this pid now, as the agent numbers processes.
 * @throws BonafideError `invalid_argument` for what is no pid; `not_found` when there is no such process, or it exits meanwhile; else as
 * `WorkloadAttestation`.
 */
export async function subjectOfPid(
  pid: number,
  { attest, exits }: ProcessSubjects,
  call: AttestationCall,
): Promise<Subject> {
  const gone = (): BonafideError => new BonafideError('not_found', `process ${pid} has exited`);
  const process = holdNamedProcess(pid);
  let onGone: (why: BonafideError) => void = () => undefined;
  let hasExited = false;
  let watch: { close(): void } | undefined;
  try {
    watch = exits.watch(pid, () => {
      hasExited = true;
      onGone(gone());
    });
    // It has been alive all along, so that what is watched is what is attested.
    if (!process.isAlive()) throw gone();
  } catch (error) {
    watch?.close();
    process.close();
    throw error;
  }
  try {
    const selectors = await attest(process, call);
    return {
      selectors,
      onEnd: (listener) => {
        onGone = listener;
        if (hasExited) listener(gone());
      },
      close: () => {
        watch.close();
      },
    };
  } catch (error) {
    watch.close();
    // It is not the caller who could not be identified.
    if (hasReason(error, 'unauthenticated')) {
      throw new BonafideError(
        'not_found',
        `process ${pid} exited or changed its identity while it was attested`,
        {
          cause: error,
        },
      );
    }
    throw error;
  }
}

/** Somebody vouches for these selectors. */
export function subjectOfSelectors(selectors: readonly Selector[]): Subject {
  return { selectors, onEnd: () => undefined, close: () => undefined };
}
