/** SPIRE's registration entries: five tables are one entry again. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { createSelector, normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { validateEntry, validateEntryId } from '../registration/validate-entry.js';
import type { SpireDatabase, SpireRow, SpireTable } from '../store/spire/spire-database.js';
import { ProtobufFields } from './protobuf-fields.js';
import { TABLES, type SpireSchema } from './spire-schema.js';
import type { Findings } from './spire-state.js';
import {
  bytesIn,
  flagIn,
  numberIn,
  positiveIn,
  reasonOf,
  textIn,
  timeIn,
  unixTimeIn,
} from './spire-values.js';

const ATTRIBUTES = { disablesX509SvidPrefetch: 1, includesJwtSvidJti: 2 } as const;

export interface EntryReadingOptions {
  readonly database: SpireDatabase;
  readonly schema: SpireSchema;
  readonly trustDomain: TrustDomain;
  /** By the number of their row; undefined for a bundle that could not be read. */
  readonly bundleNames: ReadonlyMap<number, TrustDomain | undefined>;
  readonly findings: Findings;
  readonly onRead?: ((count: number) => void) | undefined;
}

/** What belongs to one entry, by the number of its row. */
interface Parts {
  readonly selectors: ReadonlyMap<number, readonly SpireRow[]>;
  readonly dnsNames: ReadonlyMap<number, readonly SpireRow[]>;
  readonly federated: ReadonlyMap<number, readonly SpireRow[]>;
}

export async function readEntries(options: EntryReadingOptions): Promise<readonly RegistrationEntry[]> {
  const { database, schema, findings } = options;
  const parts: Parts = {
    selectors: await groupedRows(database, TABLES.selectors),
    dnsNames: await groupedRows(database, TABLES.dnsNames),
    federated: await groupedRows(database, TABLES.federatedEntries),
  };
  const entries: RegistrationEntry[] = [];
  for await (const row of database.rows(schema.entries)) {
    options.onRead?.(1);
    try {
      entries.push(entryOf(row, parts, options));
    } catch (error) {
      const reason = reasonOf(error);
      findings.add({
        kind: 'entries',
        name: nameOf(row),
        reason,
        remedy: 'correct it at SPIRE, or create it here',
      });
    }
  }
  return entries;
}

function entryOf(row: SpireRow, parts: Parts, options: EntryReadingOptions): RegistrationEntry {
  const rowId = numberIn(row, 'id');
  const id = textIn(row, 'entry_id');
  validateEntryId(id);
  const revisionNumber = positiveIn(row, 'revision_number') ?? 0;
  const attributes = new ProtobufFields(
    options.schema.version < 25 ? Buffer.alloc(0) : bytesIn(row, 'additional_attributes'),
    'additional_attributes',
  );
  const entry: RegistrationEntry = {
    id,
    spiffeId: parseSpiffeId(textIn(row, 'spiffe_id')),
    parentId: parseSpiffeId(textIn(row, 'parent_id')),
    selectors: normalizeSelectors((parts.selectors.get(rowId) ?? []).map(selectorOf)),
    x509SvidTtlSeconds: positiveIn(row, 'ttl'),
    jwtSvidTtlSeconds: positiveIn(row, 'jwt_svid_ttl'),
    federatesWith: (parts.federated.get(rowId) ?? []).map((of) => federatedName(of, options)).sort(),
    isAdmin: flagIn(row, 'admin'),
    isDownstream: flagIn(row, 'downstream'),
    expiresAt: unixTimeIn(row, 'expiry'),
    dnsNames: (parts.dnsNames.get(rowId) ?? []).map((of) => textIn(of, 'value')),
    storesSvid: flagIn(row, 'store_svid'),
    hint: textIn(row, 'hint') || undefined,
    disablesX509SvidPrefetch: attributes.flag(ATTRIBUTES.disablesX509SvidPrefetch),
    includesJwtSvidJti: attributes.flag(ATTRIBUTES.includesJwtSvidJti),
    revisionNumber,
    createdAt: timeIn(row, 'created_at') ?? new Date(0),
  };
  validateEntry(entry, options.trustDomain);
  return entry;
}

function federatedName(row: SpireRow, { bundleNames }: EntryReadingOptions): TrustDomain {
  const bundleId = numberIn(row, 'bundle_id');
  const name = bundleNames.get(bundleId);
  if (name === undefined) {
    throw invalidArgument(
      `it federates with a trust domain whose bundle (row ${bundleId}) is gone or cannot be read`,
    );
  }
  return name;
}

export function selectorOf(row: SpireRow): Selector {
  return createSelector(textIn(row, 'type'), textIn(row, 'value'));
}

async function groupedRows(
  database: SpireDatabase,
  table: SpireTable,
): Promise<ReadonlyMap<number, readonly SpireRow[]>> {
  const groups = new Map<number, SpireRow[]>();
  for await (const row of database.rows(table)) {
    const owner = numberIn(row, 'registered_entry_id');
    const group = groups.get(owner);
    if (group === undefined) groups.set(owner, [row]);
    else group.push(row);
  }
  return groups;
}

/** For a message: what can be read of it. */
function nameOf(row: SpireRow): string {
  const id = row['entry_id'];
  return typeof id === 'string' && /^[\x21-\x7e]{1,255}$/.test(id) ? id : `row ${String(row['id'])}`;
}
