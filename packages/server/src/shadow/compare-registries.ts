/** What two servers would decide differently, by what each of them tells of its registry. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { isLive } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, normalizeSelectors } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { anchorId } from '../authority/upstream/trust-anchor.js';
import { relationshipText } from '../spire-import/import-bundles.js';
import type { ListedRegistry } from '../spire-import/listed-registry.js';
import type { AttestedNode } from '../store/node-record.js';
import { OurAuthorization } from './authorized-by-us.js';
import { SpireAuthorization } from './authorized-by-spire.js';
import type { Difference } from './difference.js';

/** Sorted, each once. */
export function compareRegistries(
  spire: ListedRegistry,
  ours: ListedRegistry,
  now: Date,
): readonly Difference[] {
  const agents = compareAgents(spire.nodes, ours.nodes, now);
  const differences = [
    ...compareEntries(spire, ours, now, new Set(agents.map(({ name }) => name))),
    ...agents,
    ...compareBundles(spire, ours),
    ...compareRelationships(spire, ours),
  ];
  return differences.sort((one, other) => (sortKey(one) < sortKey(other) ? -1 : 1));
}

type Verdict = Pick<Difference, 'what' | 'fields'>;

function compareEntries(
  spire: ListedRegistry,
  ours: ListedRegistry,
  now: Date,
  differentAgents: ReadonlySet<string>,
): readonly Difference[] {
  const theirs = byId(spire.entries.filter((entry) => isLive(entry, now)));
  const here = byId(ours.entries.filter((entry) => isLive(entry, now)));
  const affected = authorizedDifferently(spire, ours, now, differentAgents);
  const differences: Difference[] = [];
  for (const id of new Set([...theirs.keys(), ...here.keys()])) {
    const entry = theirs.get(id) ?? here.get(id);
    const { missing, extra, both } = affected(id);
    const add = (verdict: Verdict, agents: readonly string[]): void => {
      differences.push({ kind: 'entry', name: id, detail: entry?.spiffeId ?? '', ...verdict, agents });
    };
    const verdict = entryVerdict(theirs.get(id), here.get(id));
    if (verdict !== undefined) {
      add(
        verdict,
        [...new Set([...missing, ...extra, ...(verdict.what === 'differs' ? both() : [])])].sort(),
      );
      continue;
    }
    // The same entry reaches others there: something between it and the agent differs.
    if (missing.length > 0) add({ what: 'missing', fields: [] }, missing);
    if (extra.length > 0) add({ what: 'extra', fields: [] }, extra);
  }
  return differences;
}

function entryVerdict(
  theirs: RegistrationEntry | undefined,
  here: RegistrationEntry | undefined,
): Verdict | undefined {
  if (here === undefined) return { what: 'missing', fields: [] };
  if (theirs === undefined) return { what: 'extra', fields: [] };
  const [one, other] = [fieldsOf(theirs), fieldsOf(here)];
  const fields = Object.keys(one).filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]));
  return fields.length === 0 ? undefined : { what: 'differs', fields };
}

/** By the names of the API; revisions and times of creation decide nothing. */
function fieldsOf(entry: RegistrationEntry): Readonly<Record<string, unknown>> {
  return {
    spiffe_id: entry.spiffeId,
    parent_id: entry.parentId,
    selectors: normalizeSelectors(entry.selectors).map(formatSelector),
    x509_svid_ttl: entry.x509SvidTtlSeconds ?? 0,
    jwt_svid_ttl: entry.jwtSvidTtlSeconds ?? 0,
    federates_with: [...entry.federatesWith].sort(),
    admin: entry.isAdmin,
    downstream: entry.isDownstream,
    expires_at: entry.expiresAt?.getTime() ?? 0,
    dns_names: entry.dnsNames,
    store_svid: entry.storesSvid,
    hint: entry.hint ?? '',
    disable_x509_svid_prefetch: entry.disablesX509SvidPrefetch,
    jwt_svid_include_jti: entry.includesJwtSvidJti,
  };
}

interface Affected {
  /** Agents that have it at SPIRE and not here, and the other way round. */
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  /** Agents that have it on both sides. */
  readonly both: () => readonly string[];
}

/** Agents that differ themselves have a line of their own, and not one for each entry. */
function authorizedDifferently(
  spire: ListedRegistry,
  ours: ListedRegistry,
  now: Date,
  differentAgents: ReadonlySet<string>,
): (entryId: string) => Affected {
  const { trustDomain } = spire.bundle;
  const atSpire = new SpireAuthorization(spire.entries, trustDomain, now);
  const here = new OurAuthorization(ours.entries, ours.nodes, trustDomain, now);
  const missing = new Map<string, SpiffeId[]>();
  const extra = new Map<string, SpiffeId[]>();
  const holders: { readonly agentId: SpiffeId; readonly ids: ReadonlySet<string> }[] = [];
  for (const node of spire.nodes) {
    if (!isTrusted(node, now) || differentAgents.has(node.agentId)) continue;
    const [theirs, our] = [atSpire.of(node), here.of(node.agentId)];
    for (const id of theirs) if (!our.has(id)) append(missing, id, node.agentId);
    for (const id of our) if (!theirs.has(id)) append(extra, id, node.agentId);
    holders.push({ agentId: node.agentId, ids: our });
  }
  return (id) => ({
    missing: (missing.get(id) ?? []).sort(),
    extra: (extra.get(id) ?? []).sort(),
    both: () => holders.filter(({ ids }) => ids.has(id)).map(({ agentId }) => agentId),
  });
}

function compareAgents(
  atSpire: readonly AttestedNode[],
  here: readonly AttestedNode[],
  now: Date,
): readonly Difference[] {
  const theirs = new Map(atSpire.filter((node) => isTrusted(node, now)).map((node) => [node.agentId, node]));
  // Agents renew at SPIRE meanwhile; the last import before the cut-over brings what they hold then.
  const isOurs = (node: AttestedNode): boolean =>
    isTrusted(node, now) || (!node.isBanned && theirs.has(node.agentId));
  const ours = new Map(here.filter(isOurs).map((node) => [node.agentId, node]));
  const known = new Map([...atSpire, ...here].map((node) => [node.agentId, node]));
  return [...known.keys()].flatMap((agentId): readonly Difference[] => {
    const [one, other] = [theirs.get(agentId), ours.get(agentId)];
    const shared = { kind: 'agent', name: agentId, agents: [agentId] } as const;
    const detail = (one ?? other)?.attestationType ?? '';
    if (one === undefined && other === undefined) return [];
    if (other === undefined) return [{ ...shared, detail, what: 'missing', fields: [] }];
    if (one === undefined) return [{ ...shared, detail, what: 'extra', fields: [] }];
    const isSame = selectorsText(one) === selectorsText(other);
    return isSame ? [] : [{ ...shared, detail, what: 'differs', fields: ['selectors'] }];
  });
}

function compareBundles(spire: ListedRegistry, ours: ListedRegistry): readonly Difference[] {
  const theirs = new Map(
    [spire.bundle, ...spire.federatedBundles].map((bundle) => [bundle.trustDomain, bundle]),
  );
  const here = new Map([ours.bundle, ...ours.federatedBundles].map((bundle) => [bundle.trustDomain, bundle]));
  return [...new Set([...theirs.keys(), ...here.keys()])].flatMap((trustDomain) => {
    const [one, other] = [authoritiesOf(theirs.get(trustDomain)), authoritiesOf(here.get(trustDomain))];
    return [...new Set([...one.keys(), ...other.keys()])].flatMap((authority): readonly Difference[] => {
      const shared = { kind: 'bundle', name: trustDomain, detail: authority, agents: [] } as const;
      // SPIRE makes WIT authorities only when it is told to; nobody there asks for what they sign.
      if (!one.has(authority))
        return authority.startsWith('WIT') ? [] : [{ ...shared, what: 'extra', fields: [] }];
      if (!other.has(authority)) return [{ ...shared, what: 'missing', fields: [] }];
      return one.get(authority) === other.get(authority)
        ? []
        : [{ ...shared, what: 'differs', fields: ['tainted'] }];
    });
  });
}

/** Whether each is tainted, by its name. */
function authoritiesOf(bundle: TrustBundle | undefined): ReadonlyMap<string, boolean> {
  if (bundle === undefined) return new Map();
  return new Map([
    ...bundle.x509Authorities.map((one) => [`X.509 authority ${anchorId(one)}`, one.isTainted] as const),
    ...bundle.jwtAuthorities.map((one) => [`JWT authority ${one.keyId}`, one.isTainted] as const),
    ...bundle.witAuthorities.map((one) => [`WIT authority ${one.keyId}`, one.isTainted] as const),
  ]);
}

function compareRelationships(spire: ListedRegistry, ours: ListedRegistry): readonly Difference[] {
  const theirs = new Map(spire.relationships.map((one) => [one.trustDomain, relationshipText(one)]));
  const here = new Map(ours.relationships.map((one) => [one.trustDomain, relationshipText(one)]));
  return [...new Set([...theirs.keys(), ...here.keys()])].flatMap((name): readonly Difference[] => {
    const shared = { kind: 'federation', name, detail: '', agents: [] } as const;
    if (!here.has(name)) return [{ ...shared, what: 'missing', fields: [] }];
    if (!theirs.has(name)) return [{ ...shared, what: 'extra', fields: [] }];
    return theirs.get(name) === here.get(name)
      ? []
      : [{ ...shared, what: 'differs', fields: ['bundle endpoint'] }];
  });
}

function isTrusted({ isBanned, expiresAt }: AttestedNode, now: Date): boolean {
  return !isBanned && expiresAt > now;
}

function selectorsText({ selectors }: AttestedNode): string {
  return JSON.stringify(normalizeSelectors(selectors).map(formatSelector));
}

function byId(entries: readonly RegistrationEntry[]): ReadonlyMap<string, RegistrationEntry> {
  return new Map(entries.map((entry) => [entry.id, entry]));
}

function append(map: Map<string, SpiffeId[]>, key: string, agentId: SpiffeId): void {
  const present = map.get(key);
  if (present === undefined) map.set(key, [agentId]);
  else present.push(agentId);
}

function sortKey({ kind, name, detail, what }: Difference): string {
  return JSON.stringify([kind, name, detail, what]);
}
