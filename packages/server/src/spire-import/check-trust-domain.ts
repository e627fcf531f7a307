/** Whose datastore it is: SPIRE does not write its trust domain down, but everything it registers and attests is a member of it. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { parseSpiffeId, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SpireDatabase, SpireRow } from '../store/spire/spire-database.js';
import { parseCaJournal } from './ca-journal.js';
import { TABLES, type SpireSchema } from './spire-schema.js';
import { bytesIn, reasonOf, textIn } from './spire-values.js';

/** That many witnesses are enough. */
const MOST_ROWS = 1000;

/** @throws BonafideError `failed_precondition` when it is another one's. */
export async function checkTrustDomain(
  database: SpireDatabase,
  schema: SpireSchema,
  trustDomain: TrustDomain,
): Promise<void> {
  const seen = new Map<TrustDomain, number>();
  const look = async (
    table: SpireSchema['nodes'] | undefined,
    read: (row: SpireRow) => readonly TrustDomain[],
  ): Promise<void> => {
    if (table === undefined) return;
    let count = 0;
    for await (const row of database.rows(table)) {
      for (const name of readable(() => read(row))) seen.set(name, (seen.get(name) ?? 0) + 1);
      if ((count += 1) >= MOST_ROWS) return;
    }
  };
  await look(schema.entries, (row) => [trustDomainOf(parseSpiffeId(textIn(row, 'parent_id')))]);
  await look(schema.nodes, (row) => [trustDomainOf(parseSpiffeId(textIn(row, 'spiffe_id')))]);
  await look(schema.journals, (row) =>
    parseCaJournal(bytesIn(row, 'data')).authorities.flatMap((authority) => {
      if (authority.kind !== 'x509') return [];
      const { spiffeId } = parseX509Certificate(authority.certificate);
      return spiffeId === undefined ? [] : [trustDomainOf(spiffeId)];
    }),
  );
  const others = [...seen.keys()].filter((name) => name !== trustDomain);
  if (others.length > 0 && !seen.has(trustDomain)) throw refused(database, trustDomain, others);
  if (seen.size > 0) return;
  // Nothing was ever registered: the one bundle is its own, or a relationship names the others.
  const bundles: TrustDomain[] = [];
  for await (const row of database.rows(TABLES.bundles)) {
    bundles.push(...readable(() => [parseTrustDomainOrId(textIn(row, 'trust_domain'))]));
    if (bundles.length >= MOST_ROWS) break;
  }
  if (bundles.length !== 1 || bundles[0] !== trustDomain) throw refused(database, trustDomain, bundles);
}

function readable(read: () => readonly TrustDomain[]): readonly TrustDomain[] {
  try {
    return read();
  } catch (error) {
    reasonOf(error); // told when the row itself is read
    return [];
  }
}

function refused(
  { description }: SpireDatabase,
  trustDomain: TrustDomain,
  found: readonly TrustDomain[],
): BonafideError {
  const whose =
    found.length === 0
      ? 'of no trust domain that can be read'
      : `of trust domain ${found.slice(0, 3).join(', ')}`;
  return new BonafideError(
    'failed_precondition',
    `${description} is ${whose}; expected ${trustDomain}, the trust domain of the configuration`,
  );
}
