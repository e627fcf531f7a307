/** The import itself: everything in one transaction, so that whoever interrupts it leaves nothing half done. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { StoredKey } from '../authority/key-file.js';
import type { KeyManager } from '../authority/key-manager.js';
import type { Store, WriteTransaction } from '../store/store.js';
import { chooseAuthorities, type ChosenAuthorities } from './choose-authorities.js';
import { importAuthorities } from './import-authorities.js';
import { importBundles, importRelationships, pruneBundles } from './import-bundles.js';
import { importEntries } from './import-entries.js';
import { importJoinTokens } from './import-join-tokens.js';
import { importNodes } from './import-nodes.js';
import type { ImportReport } from './import-report.js';
import { Findings, IMPORT_KINDS, type Finding, type SpireState } from './spire-state.js';

export interface ImportOptions {
  readonly store: Store;
  readonly keyManager: Pick<KeyManager, 'importKeys'>;
  readonly clock: Clock;
  readonly state: SpireState;
  /** SPIRE's; undefined when they are not at hand. */
  readonly keys: ReadonlyMap<string, StoredKey> | undefined;
  readonly isDryRun: boolean;
  /** Removes entries, agents, relationships and federated bundles that SPIRE does not have. */
  readonly prune: boolean;
  /** What the configuration and the agents' programs have to say to what is carried over. */
  readonly warnings: readonly Finding[];
  readonly onEntry?: (count: number) => void;
}

/** Gives the transaction up without an error: for a dry run, and where nothing changed. */
class NothingToKeep extends Error {
  readonly report: ImportReport;

  constructor(report: ImportReport) {
    super('the import is rolled back');
    this.report = report;
  }
}

/** @throws BonafideError when the store or the key manager cannot be written; nothing is changed then but unused keys. */
export async function runImport(options: ImportOptions): Promise<ImportReport> {
  const { store, keyManager, clock, state, isDryRun } = options;
  const chosen = choose(options);
  // Keys first: whenever we die, what is recorded can sign. Those without a record are removed when the server starts.
  if (!isDryRun && chosen.keys.size > 0) await keyManager.importKeys?.(chosen.keys);
  try {
    return await store.write(async (transaction) => {
      const report = await importAll(transaction, options, chosen, clock.now());
      const changes = IMPORT_KINDS.some((kind) => {
        const { created, updated, pruned } = report.tallies[kind];
        return created + updated + pruned > 0;
      });
      if (isDryRun || !changes) throw new NothingToKeep({ ...report, revision: undefined });
      return report;
    });
  } catch (error) {
    if (error instanceof NothingToKeep) return { ...error.report, source: state.source };
    throw error;
  }
}

function choose({ store, keyManager, clock, state, keys }: ImportOptions): ChosenAuthorities {
  const chosen = chooseAuthorities({ state, keys, serverId: store.serverId, now: clock.now() });
  if (chosen.records.length === 0 || keyManager.importKeys !== undefined) return chosen;
  const finding: Finding = {
    kind: 'authorities',
    name: undefined,
    reason: 'the key manager of the configuration keeps keys in memory, where none can be brought',
    remedy: 'configure plugins.KeyManager.disk and import again, or have new authorities made here',
  };
  return { records: [], keys: new Map(), findings: [...chosen.findings, finding] };
}

async function importAll(
  transaction: WriteTransaction,
  options: ImportOptions,
  chosen: ChosenAuthorities,
  now: Date,
): Promise<ImportReport> {
  const { state, store, prune, onEntry: onDone } = options;
  const findings = new Findings();
  const shared = { transaction, state, prune, now, findings };
  const { trustDomain, entries, nodes, joinTokens } = state;
  const bundles = await importBundles(shared);
  const relationships = await importRelationships(shared);
  const entryTally = await importEntries({ ...shared, entries, bundles: bundles.trustDomains, onDone });
  const prunedBundles = prune ? await pruneBundles(shared) : 0;
  const tallies = {
    bundles: { ...bundles.tally, onlyHere: bundles.tally.onlyHere - prunedBundles, pruned: prunedBundles },
    federation_relationships: relationships,
    entries: entryTally,
    agents: await importNodes({ ...shared, nodes }),
    join_tokens: await importJoinTokens({ ...shared, joinTokens, trustDomain }),
    authorities: await importAuthorities({ transaction, records: chosen.records, serverId: store.serverId }),
  };
  return {
    source: state.source,
    schema: state.schema,
    trustDomain,
    isDryRun: options.isDryRun,
    revision: transaction.revision,
    tallies,
    notCarried: [...state.notCarried, ...findings.all, ...chosen.findings],
    warnings: options.warnings,
  };
}
