/** Which entries SPIRE's server would give an agent: those under its ID and the aliases whose selectors it has, and under theirs in turn. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { isLive } from '@bonafide/shared/registration/registration-entry';
import { formatSelector } from '@bonafide/shared/registration/selector';
import { serverId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AttestedNode } from '../store/node-record.js';

/** The entries of a listing, by where they hang. Those that have expired are left out: SPIRE prunes them, ours are over at once. */
export class SpireAuthorization {
  readonly #children = new Map<SpiffeId, RegistrationEntry[]>();
  readonly #aliases: { readonly spiffeId: SpiffeId; readonly selectors: readonly string[] }[] = [];

  constructor(entries: readonly RegistrationEntry[], trustDomain: TrustDomain, now: Date) {
    const aliasParent = serverId(trustDomain);
    for (const entry of entries) {
      if (!isLive(entry, now)) continue;
      if (entry.parentId === aliasParent) {
        this.#aliases.push({ spiffeId: entry.spiffeId, selectors: entry.selectors.map(formatSelector) });
        continue;
      }
      const siblings = this.#children.get(entry.parentId);
      if (siblings === undefined) this.#children.set(entry.parentId, [entry]);
      else siblings.push(entry);
    }
  }

  /** Ids. */
  of(node: Pick<AttestedNode, 'agentId' | 'selectors'>): ReadonlySet<string> {
    const held = new Set(node.selectors.map(formatSelector));
    const parents = new Set([node.agentId]);
    for (const { spiffeId, selectors } of this.#aliases) {
      if (selectors.every((selector) => held.has(selector))) parents.add(spiffeId);
    }
    const found = new Set<string>();
    // A set that grows while it is walked: each ID once, however the entries go round.
    for (const parent of parents) {
      for (const entry of this.#children.get(parent) ?? []) {
        found.add(entry.id);
        parents.add(entry.spiffeId);
      }
    }
    return found;
  }
}
