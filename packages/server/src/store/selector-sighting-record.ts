/** Which selectors of entries have been presented by attested processes: a row for each, of the last time, to the hour. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface SelectorSighting {
  /** `type:value`. */
  readonly selector: string;
  readonly agentId: SpiffeId;
  readonly seenAt: Date;
}

/** Says nothing of what may exist, so none of it takes a revision. */
export interface SelectorSightingRecords {
  /** Those that are known. */
  latest(selectors: readonly string[]): Promise<readonly SelectorSighting[]>;
  /** Leaves what was seen later. */
  note(selectors: readonly string[], agentId: SpiffeId, seenAt: Date): Promise<void>;
  /** Deletes those of selectors that no entry has. */
  prune(): Promise<void>;
}
