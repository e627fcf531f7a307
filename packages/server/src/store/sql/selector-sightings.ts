/** Sightings of selectors in SQL: one row for each selector that an entry has. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { SelectorSighting, SelectorSightingRecords } from '../selector-sighting-record.js';
import { chunks } from './read-pages.js';
import type { Queries } from './schema.js';

const KEYS_A_STATEMENT = 250;

export class SelectorSightingQueries implements SelectorSightingRecords {
  readonly #reader: Queries;
  readonly #writer: Queries;

  /** @param writer of statements that take no revision. */
  constructor(reader: Queries, writer: Queries) {
    this.#reader = reader;
    this.#writer = writer;
  }

  async latest(selectors: readonly string[]): Promise<readonly SelectorSighting[]> {
    const found: SelectorSighting[] = [];
    for (const some of chunks(selectors, KEYS_A_STATEMENT)) {
      const rows = await this.#reader
        .selectFrom('selector_sightings')
        .selectAll()
        .where('selector', 'in', some)
        .execute();
      for (const { selector, agent_id: agentId, seen_at: seenAt } of rows) {
        found.push({ selector, agentId: agentId as SpiffeId, seenAt: new Date(seenAt) });
      }
    }
    return found;
  }

  async note(selectors: readonly string[], agentId: SpiffeId, seenAt: Date): Promise<void> {
    // In one order, so that two servers never wait for each other's rows.
    for (const some of chunks([...new Set(selectors)].sort(), KEYS_A_STATEMENT)) {
      const rows = some.map((selector) => ({ selector, agent_id: agentId, seen_at: seenAt.getTime() }));
      await this.#writer
        .insertInto('selector_sightings')
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .column('selector')
            .doUpdateSet((eb) => ({
              agent_id: eb.ref('excluded.agent_id'),
              seen_at: eb.ref('excluded.seen_at'),
            }))
            .whereRef('selector_sightings.seen_at', '<', 'excluded.seen_at'),
        )
        .execute();
    }
  }

  async prune(): Promise<void> {
    await this.#writer
      .deleteFrom('selector_sightings')
      .where((eb) =>
        eb.not(
          eb.exists(
            eb
              .selectFrom('entry_selectors')
              .select('entry_id')
              .whereRef('entry_selectors.selector', '=', 'selector_sightings.selector'),
          ),
        ),
      )
      .execute();
  }
}
