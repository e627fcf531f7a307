/** What a process full of agents has seen so far. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';

export class Counters {
  polls = 0;
  failures = 0;
  lastFailure: string | undefined;
  turnedAway = 0;
  snapshots = 0;
  deltas = 0;

  applied(kind: 'snapshot' | 'delta'): void {
    if (kind === 'snapshot') this.snapshots += 1;
    else this.deltas += 1;
  }

  failed(error: unknown): void {
    if (error instanceof BonafideError && error.reason === 'resource_exhausted') this.turnedAway += 1;
    else {
      this.failures += 1;
      this.lastFailure = errorMessage(error);
    }
  }
}
