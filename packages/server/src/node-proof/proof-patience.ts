/** When a node is to prove itself next, and when it has been asked for long enough: by a time that passes only while this server could listen. */
import type { Clock } from '@bonafide/shared/runtime/clock';

/** From so much of its interval on, so that nodes which attested together do not stay together. */
const EARLIEST = 0.8;
/** Who proves itself when an operator asks is looked at so often. */
const UNSCHEDULED_MS = 600_000;
/** Whoever is asked gets so long, whatever happened before: the server was down, or the clock was set. */
const LONGEST_PATIENCE_MS = 120_000;
/** A pause may take so much longer than it was to, before the rest of it counts for nothing. */
const TOLERANCE = 2;

/** @param chance from 0 to 1. */
export function nextProofMs(intervalSeconds: number | undefined, chance: number): number {
  if (intervalSeconds === undefined) return UNSCHEDULED_MS;
  return intervalSeconds * 1000 * (EARLIEST + (1 - EARLIEST) * chance);
}

/** @param ageMs of the last proof. @param waitedMs for an answer, since this server first asked. */
export function mayBeCalledUnproven(node: {
  readonly ageMs: number;
  readonly waitedMs: number;
  readonly deadlineSeconds: number;
}): boolean {
  return node.ageMs >= node.deadlineSeconds * 1000 && node.waitedMs >= patienceMs(node.deadlineSeconds);
}

/** How long a node that is asked may take. */
export function patienceMs(deadlineSeconds: number): number {
  return Math.min(LONGEST_PATIENCE_MS, deadlineSeconds * 1000);
}

/**
 * Milliseconds in which this server ran and had its database. While it was suspended, overloaded or cut off none pass: what it did not
 * hear then, nobody is blamed for.
 */
export class PatientTime {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #lastMs: number;
  #nowMs = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#lastMs = clock.monotonicMs();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** @param plannedMs since the last call, if nothing was in the way. */
  passed(plannedMs: number, isConnected: boolean): void {
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (isConnected) this.#nowMs += Math.min(elapsedMs, plannedMs * TOLERANCE);
  }
}
