/** Takes note of which selectors of its own entries an agent has seen; of others nothing is kept. */
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { SelectorSightingRecords } from '../store/selector-sighting-record.js';

interface SelectorSightingsOptions {
  readonly records: SelectorSightingRecords;
  readonly graph: Pick<EntryGraph, 'authorizedEntries'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** When somebody was where is nobody's business; that a selector is in use is known well enough to the hour. */
const COARSE_MS = 3_600_000;
const PRUNE_EVERY_MS = 3_600_000;

export class SelectorSightings {
  readonly #options: SelectorSightingsOptions;

  constructor(options: SelectorSightingsOptions) {
    this.#options = options;
  }

  async note(agentId: SpiffeId, selectors: readonly Selector[]): Promise<void> {
    const { clock, graph, records } = this.#options;
    const wanted = new Set(selectors.map(formatSelector));
    const known = new Set<string>();
    for (const entry of graph.authorizedEntries(agentId)) {
      for (const selector of entry.selectors) {
        const text = formatSelector(selector);
        if (wanted.has(text)) known.add(text);
      }
    }
    if (known.size === 0) return;
    const seenAt = new Date(Math.floor(clock.now().getTime() / COARSE_MS) * COARSE_MS);
    await records.note([...known], agentId, seenAt);
  }

  /** Forgets what no entry has any more, now and then. Runs until the signal fires, and then resolves. */
  async keepPruned(signal: AbortSignal): Promise<void> {
    const { clock, log, records } = this.#options;
    try {
      for (;;) {
        await sleep(clock, PRUNE_EVERY_MS, signal);
        await records.prune().catch((error: unknown) => {
          log.warn({ err: error }, 'selectors that were seen are pruned later');
        });
      }
    } catch (error) {
      if (!hasReason(error, 'cancelled')) throw error;
    }
  }
}
