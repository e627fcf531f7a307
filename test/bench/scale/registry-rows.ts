/** A large registry as rows of the store's tables: the shape of a big estate, the same one each time. */
import { parseSelector } from '@bonafide/shared/registration/selector';
import type { EntryRow, NodeRow } from '@bonafide/server/store/sql/schema';
import { encodeList, encodeSelectors } from '@bonafide/server/store/sql/sets';

export interface RegistrySize {
  readonly entries: number;
  readonly agents: number;
}

export const TRUST_DOMAIN = 'example.org';
export const FOREIGN_TRUST_DOMAINS: readonly string[] = ['partner.example', 'cloud.example', 'edge.example'];
export const ALIASES = 200;
/** Each of the first aliases reaches a fifth of the agents, each of the others those of one rack. */
export const ZONES = 5;
const RACKS = 500;
const SELECTOR_SETS = 2000;
const CREATED_AT = Date.UTC(2026, 0, 1);

export function agentIdOf(index: number): string {
  return `spiffe://${TRUST_DOMAIN}/spire/agent/tpm/${hex(index, 40)}`;
}

export function entryIdOf(index: number): string {
  return uuid(index);
}

export function* nodeRows(size: RegistrySize): Generator<NodeRow, void, undefined> {
  for (let index = 0; index < size.agents; index += 1) {
    const texts = [`tpm:zone:z${index % ZONES}`, `tpm:rack:r${index % RACKS}`, `tpm:host:h${index}`];
    if (index % 2 === 0) texts.push(`tpm:pcr:7:${hex(index % 40, 64)}`);
    if (index % 3 === 0) texts.push('tpm:secure_boot:on');
    if (index % 7 === 0) texts.push(`tpm:class:c${index % 9}`);
    yield {
      agent_id: agentIdOf(index),
      attestation_type: index % 20 === 0 ? 'join_token' : 'tpm',
      serial_number: hex(index, 32),
      expires_at: CREATED_AT + 315_360_000_000 + index,
      next_serial_number: null,
      next_expires_at: null,
      selectors: encodeSelectors(texts.map(parseSelector)),
      selector_count: texts.length,
      is_banned: index % 500 === 499 ? 1 : 0,
      can_reattest: 1,
      quarantine: null,
      agent_version: '1.0.0',
    };
  }
}

/** First the aliases, then entries under agents (nine of ten), under aliases, and under other entries up to two deep. */
export function* entryRows(size: RegistrySize): Generator<EntryRow, void, undefined> {
  for (let index = 0; index < Math.min(ALIASES, size.entries); index += 1) {
    const [zone, rack] = [`tpm:zone:z${index % ZONES}`, `tpm:rack:r${index}`];
    yield entryRow(index, {
      path: `/node-group/${index}`,
      parent: `/spire/server`,
      selectors: encodeSelectors((index < ZONES ? [zone] : [zone, rack]).map(parseSelector)),
    });
  }
  const sets = Array.from({ length: SELECTOR_SETS }, (_, set) => workloadSelectors(set));
  for (let index = ALIASES; index < size.entries; index += 1) {
    yield entryRow(index, {
      path: pathOf(index),
      parent: parentOf(index, size),
      selectors: setOf(sets, index),
    });
  }
}

function setOf(sets: readonly string[], index: number): string {
  return sets[mixed(index) % SELECTOR_SETS] ?? '[]';
}

function entryRow(
  index: number,
  given: { readonly path: string; readonly parent: string; readonly selectors: string },
): EntryRow {
  const isFederated = index % 50 === 7;
  return {
    id: uuid(index),
    spiffe_id: `spiffe://${TRUST_DOMAIN}${given.path}`,
    parent_id: given.parent.startsWith('/') ? `spiffe://${TRUST_DOMAIN}${given.parent}` : given.parent,
    selectors: given.selectors,
    selector_count: given.selectors.split('","').length,
    x509_svid_ttl_seconds: index % 4 === 0 ? 3600 : null,
    jwt_svid_ttl_seconds: null,
    federates_with: isFederated ? encodeList([FOREIGN_TRUST_DOMAINS[index % 3] ?? '']) : '[]',
    federation_count: isFederated ? 1 : 0,
    is_admin: 0,
    is_downstream: index % 10_000 === 9999 ? 1 : 0,
    expires_at: index % 100 === 13 ? CREATED_AT + 315_360_000_000 + index : null,
    dns_names: index % 20 === 3 ? encodeList([`svc-${index}.internal.${TRUST_DOMAIN}`]) : '[]',
    stores_svid: 0,
    hint: index % 30 === 4 ? (index % 60 === 4 ? 'internal' : 'external') : null,
    disables_x509_svid_prefetch: 0,
    includes_jwt_svid_jti: 0,
    revision_number: index % 10 === 0 ? 2 : 0,
    created_at: CREATED_AT + index,
  };
}

function pathOf(index: number): string {
  return `/ns/team-${index % 300}/sa/service-${index % 2 === 0 ? index : index % 200_000}`;
}

function parentOf(index: number, size: RegistrySize): string {
  if (index % 20 === 0) return pathOf(index - 2);
  // Few under the large groups, so that an agent outside of the racks below has about twenty entries.
  if (index % 20 === 1) {
    const group = mixed(index) % ALIASES;
    return `/node-group/${group < ZONES ? group + ZONES : group}`;
  }
  if (index % 50_000 === 2) return `/node-group/${mixed(index) % ZONES}`;
  return agentIdOf(index % size.agents);
}

function workloadSelectors(set: number): string {
  const texts = [`k8s:ns:team-${set % 300}`, `k8s:sa:service-${set}`];
  if (set % 2 === 0) texts.push(`k8s:pod-label:app:service-${set}`);
  if (set % 5 === 0) texts.push('k8s:container-name:main');
  return encodeSelectors(texts.map(parseSelector));
}

/** As random as ids are, without chance. */
function uuid(index: number): string {
  const text =
    hex(mixed(index), 8) + hex(mixed(index + 0x5bd1), 8) + hex(mixed(index + 0x1f3d), 8) + hex(index, 8);
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-4${text.slice(13, 16)}-8${text.slice(17, 20)}-${text.slice(20)}`;
}

function mixed(index: number): number {
  let bits = Math.imul(index ^ (index >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function hex(value: number, length: number): string {
  return value.toString(16).padStart(length, '0');
}
