/** Everything a SPIRE server keeps in its datastore, in our words. */
import {
  parseBundleEndpointUrl,
  type FederationRelationship,
} from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { JoinToken } from '../store/join-token-record.js';
import type { SpireDatabase, SpireRow } from '../store/spire/spire-database.js';
import { parseCaJournal, type CaJournal } from './ca-journal.js';
import { checkTrustDomain } from './check-trust-domain.js';
import { readEntries } from './read-entries.js';
import { readNodes } from './read-nodes.js';
import { readSpireSchema, TABLES, type SpireSchema } from './spire-schema.js';
import { Findings, type SpireState } from './spire-state.js';
import { bytesIn, numberIn, reasonOf, textIn, unixTimeIn } from './spire-values.js';
import { parseStoredBundle } from './stored-bundle.js';

export interface DatastoreReadingOptions {
  readonly database: SpireDatabase;
  readonly trustDomain: TrustDomain;
  /** Told of each entry that was read. */
  readonly onRead?: (count: number) => void;
}

/** @throws BonafideError `failed_precondition` for a database that is not SPIRE's, of an unknown schema or of another trust domain. */
export async function readDatastore(options: DatastoreReadingOptions): Promise<SpireState> {
  const { database, trustDomain } = options;
  const schema = await readSpireSchema(database);
  await checkTrustDomain(database, schema, trustDomain);
  const findings = new Findings();
  const { bundles, names } = await readBundles(database, findings);
  const reading = { ...options, schema, findings, bundleNames: names };
  const entries = await readEntries(reading);
  const nodes = await readNodes(reading);
  const relationships = await readRelationships(database, findings);
  const bundle = bundles.find((one) => one.trustDomain === trustDomain);
  if (bundle === undefined) {
    throw new BonafideError(
      'failed_precondition',
      `${database.description} has no bundle of trust domain ${trustDomain} that can be read; start SPIRE on it once, or see whether it is damaged`,
    );
  }
  return {
    source: database.description,
    schema: { version: schema.version, codeVersion: schema.codeVersion },
    trustDomain,
    bundle,
    federatedBundles: bundles.filter((one) => one !== bundle),
    relationships,
    entries,
    nodes,
    joinTokens: await readJoinTokens(database, findings),
    journals: await readJournals(database, schema, findings),
    notCarried: findings.all,
  };
}

async function readBundles(
  database: SpireDatabase,
  findings: Findings,
): Promise<{
  readonly bundles: readonly TrustBundle[];
  readonly names: ReadonlyMap<number, TrustDomain | undefined>;
}> {
  const bundles: TrustBundle[] = [];
  const names = new Map<number, TrustDomain | undefined>();
  for await (const row of database.rows(TABLES.bundles)) {
    const rowId = numberIn(row, 'id');
    taken(findings, 'bundles', row, 'trust_domain', 'fetch it again: bonafide-server bundle set', () => {
      const trustDomain = parseTrustDomainOrId(textIn(row, 'trust_domain'));
      bundles.push(parseStoredBundle(bytesIn(row, 'data'), trustDomain));
      names.set(rowId, trustDomain);
    });
  }
  return { bundles, names };
}

async function readRelationships(
  database: SpireDatabase,
  findings: Findings,
): Promise<readonly FederationRelationship[]> {
  const relationships: FederationRelationship[] = [];
  for await (const row of database.rows(TABLES.relationships)) {
    const remedy = 'create it here: bonafide-server federation create';
    taken(findings, 'federation_relationships', row, 'trust_domain', remedy, () => {
      const trustDomain = parseTrustDomainOrId(textIn(row, 'trust_domain'));
      const url = parseBundleEndpointUrl(textIn(row, 'bundle_endpoint_url'));
      relationships.push({ trustDomain, endpoint: { url, profile: profileOf(row) } });
    });
  }
  return relationships;
}

function profileOf(row: SpireRow): FederationRelationship['endpoint']['profile'] {
  const kind = textIn(row, 'bundle_endpoint_profile');
  if (kind === 'https_web') return { kind };
  if (kind === 'https_spiffe') return { kind, endpointId: parseSpiffeId(textIn(row, 'endpoint_spiffe_id')) };
  throw invalidArgument(
    `bundle endpoint profile ${JSON.stringify(kind)} is not known; expected https_web or https_spiffe`,
  );
}

async function readJoinTokens(database: SpireDatabase, findings: Findings): Promise<readonly JoinToken[]> {
  const tokens: JoinToken[] = [];
  for await (const row of database.rows(TABLES.joinTokens)) {
    // The token itself is a secret and is never named.
    taken(findings, 'join_tokens', row, undefined, 'make another: bonafide-server token generate', () => {
      const token = textIn(row, 'token');
      const expiresAt = unixTimeIn(row, 'expiry');
      if (token === '' || expiresAt === undefined)
        throw invalidArgument('join token is empty or has no expiry');
      // The entry that SPIRE makes for an alias is among the entries.
      tokens.push({ token, expiresAt, aliasId: undefined });
    });
  }
  return tokens;
}

async function readJournals(
  database: SpireDatabase,
  { journals: table }: SpireSchema,
  findings: Findings,
): Promise<readonly CaJournal[]> {
  const journals: CaJournal[] = [];
  if (table === undefined) return journals;
  for await (const row of database.rows(table)) {
    const remedy = 'its authorities stay in the bundle; a new one is made here';
    taken(findings, 'authorities', row, undefined, remedy, () => {
      journals.push(parseCaJournal(bytesIn(row, 'data')));
    });
  }
  return journals;
}

/** What is wrong with one row concerns nothing but that row. */
function taken(
  findings: Findings,
  kind: 'bundles' | 'federation_relationships' | 'join_tokens' | 'authorities',
  row: SpireRow,
  nameColumn: string | undefined,
  remedy: string,
  work: () => void,
): void {
  try {
    work();
  } catch (error) {
    const name = nameColumn === undefined ? undefined : row[nameColumn];
    const isPrintable = typeof name === 'string' && /^[\x21-\x7e]{1,300}$/.test(name);
    findings.add({
      kind,
      name: isPrintable ? name : `row ${String(row['id'])}`,
      reason: reasonOf(error),
      remedy,
    });
  }
}
