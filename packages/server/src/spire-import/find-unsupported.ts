/** What is carried over and will not do here what it does at SPIRE: types of attestors and selectors that nothing here proves. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { serverId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Finding, SpireState } from './spire-state.js';

export interface SupportedTypes {
  /** Node attestors that the configuration enables. */
  readonly configuredAttestors: ReadonlySet<string>;
  /** Node attestors that there are. */
  readonly attestors: ReadonlySet<string>;
}

/** Of the agent's workload attestors, and `spiffe_id`, by which SPIRE gives an alias to a node that joined by a token. */
const WORKLOAD_SELECTORS: ReadonlySet<string> = new Set([
  'unix',
  'systemd',
  'docker',
  'podman',
  'k8s',
  'spiffe_id',
]);
/** Of the agent's SVID stores. */
const STORE_SELECTORS: ReadonlySet<string> = new Set(['directory']);

export function findUnsupported(
  { entries, nodes, trustDomain }: Pick<SpireState, 'entries' | 'nodes' | 'trustDomain'>,
  supported: SupportedTypes,
): readonly Finding[] {
  const aliasParent = serverId(trustDomain);
  const entryTypes = new Map<string, number>();
  for (const entry of entries) {
    const known = knownTypes(entry, aliasParent, supported);
    for (const type of new Set(entry.selectors.map((selector) => selector.type))) {
      if (!known.has(type)) entryTypes.set(type, (entryTypes.get(type) ?? 0) + 1);
    }
  }
  const nodeTypes = new Map<string, number>();
  for (const { attestationType: type } of nodes) {
    if (!supported.configuredAttestors.has(type)) nodeTypes.set(type, (nodeTypes.get(type) ?? 0) + 1);
  }
  return [
    ...[...entryTypes].map(([type, count]): Finding => ({
      kind: 'entries',
      name: undefined,
      reason: `${count} have selectors of type ${JSON.stringify(type)}, which no attestor here proves`,
      remedy:
        "they stay as they are, and agents of SPIRE that have such an attestor go on serving them; Bonafide's agents match none",
    })),
    ...[...nodeTypes].map(([type, count]): Finding => ({
      kind: 'agents',
      name: undefined,
      reason: supported.attestors.has(type)
        ? `${count} attested by ${type}, which the configuration does not enable`
        : `${count} attested by ${type}, which is not built in`,
      remedy: supported.attestors.has(type)
        ? `add plugins.NodeAttestor.${type}: without it they go on with their SVIDs and cannot attest again`
        : 'they go on with their SVIDs; before one has to attest again, move it to another attestor',
    })),
  ];
}

function knownTypes(
  entry: RegistrationEntry,
  aliasParent: string,
  { attestors }: SupportedTypes,
): ReadonlySet<string> {
  if (entry.parentId === aliasParent) return new Set([...attestors, 'spiffe_id']);
  return entry.storesSvid ? STORE_SELECTORS : WORKLOAD_SELECTORS;
}
