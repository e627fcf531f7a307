/** SPIRE's attested nodes: with their serial numbers they go on here without being attested again. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import { isAgentId, parseSpiffeId, trustDomainOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AttestedNode } from '../store/node-record.js';
import type { SpireDatabase, SpireRow } from '../store/spire/spire-database.js';
import { selectorOf } from './read-entries.js';
import { TABLES, type SpireSchema } from './spire-schema.js';
import type { Findings } from './spire-state.js';
import { flagIn, reasonOf, textIn, timeIn } from './spire-values.js';

const REMEDY = 'the agent has to attest again here';
/** RFC 5280 section 4.1.2.2: 20 octets. */
const LONGEST_SERIAL_NUMBER_DIGITS = 49;
const LONGEST_AGENT_VERSION = 255;

export interface NodeReadingOptions {
  readonly database: SpireDatabase;
  readonly schema: SpireSchema;
  readonly trustDomain: TrustDomain;
  readonly findings: Findings;
}

export async function readNodes(options: NodeReadingOptions): Promise<readonly AttestedNode[]> {
  const { database, schema, findings } = options;
  const selectors = await readNodeSelectors(options);
  const nodes: AttestedNode[] = [];
  for await (const row of database.rows(schema.nodes)) {
    try {
      nodes.push(nodeOf(row, selectors, options));
    } catch (error) {
      findings.add({ kind: 'agents', name: nameOf(row), reason: reasonOf(error), remedy: REMEDY });
    }
  }
  return nodes;
}

function nodeOf(
  row: SpireRow,
  selectors: ReadonlyMap<string, readonly Selector[]>,
  { schema, trustDomain }: NodeReadingOptions,
): AttestedNode {
  const agentId = parseSpiffeId(textIn(row, 'spiffe_id'));
  const attestationType = textIn(row, 'data_type');
  const serialNumber = serialNumberFromDecimal(textIn(row, 'serial_number'));
  const nextSerialNumber = serialNumberFromDecimal(textIn(row, 'new_serial_number'));
  const expiresAt = timeIn(row, 'expires_at');
  checkAgent(agentId, trustDomain);
  if (!/^[a-zA-Z0-9_-]{1,255}$/.test(attestationType))
    throw invalidArgument('data_type is no attestation type');
  const agentVersion = schema.version < 24 ? '' : textIn(row, 'agent_version');
  return {
    agentId,
    attestationType,
    serialNumber,
    // One that never had a time is over.
    expiresAt: expiresAt ?? new Date(0),
    nextSerialNumber,
    nextExpiresAt: nextSerialNumber === undefined ? undefined : timeIn(row, 'new_expires_at'),
    selectors: selectors.get(agentId) ?? [],
    // SPIRE has no other word for it.
    isBanned: serialNumber === undefined,
    quarantine: undefined,
    canReattest: flagIn(row, 'can_reattest'),
    agentVersion: agentVersion.slice(0, LONGEST_AGENT_VERSION) || undefined,
  };
}

/** @throws BonafideError `invalid_argument`. */
function checkAgent(agentId: SpiffeId, trustDomain: TrustDomain): void {
  if (trustDomainOf(agentId) !== trustDomain)
    throw invalidArgument(`is not a member of trust domain ${trustDomain}`);
  if (!isAgentId(agentId))
    throw invalidArgument('is not the ID of an agent; expected one under /spire/agent/');
}

/** SPIRE writes them in decimal. Undefined: none. @throws BonafideError `invalid_argument`. */
export function serialNumberFromDecimal(text: string): string | undefined {
  if (text === '') return undefined;
  if (!/^\d+$/.test(text) || text.length > LONGEST_SERIAL_NUMBER_DIGITS) {
    throw invalidArgument('serial number is not a decimal number of at most 20 bytes');
  }
  const hex = BigInt(text).toString(16);
  return hex.length % 2 === 0 ? hex : `0${hex}`;
}

/** A selector that is malformed leaves its node without it: less is granted, never more. */
async function readNodeSelectors({
  database,
  findings,
}: NodeReadingOptions): Promise<ReadonlyMap<string, readonly Selector[]>> {
  const found = new Map<string, Selector[]>();
  for await (const row of database.rows(TABLES.nodeSelectors)) {
    try {
      const agentId = textIn(row, 'spiffe_id');
      const selectors = found.get(agentId) ?? [];
      selectors.push(selectorOf(row));
      found.set(agentId, selectors);
    } catch (error) {
      const reason = `a selector of it: ${reasonOf(error)}`;
      findings.add({
        kind: 'agents',
        name: nameOf(row),
        reason,
        remedy: 'it comes back when the agent attests again',
      });
    }
  }
  return new Map([...found].map(([agentId, selectors]) => [agentId, normalizeSelectors(selectors)]));
}

function nameOf(row: SpireRow): string {
  const id = row['spiffe_id'];
  return typeof id === 'string' && /^[\x21-\x7e]{1,2048}$/.test(id) ? id : `row ${String(row['id'])}`;
}
