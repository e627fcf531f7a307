/** Whether an entry is one that the members of a role may make; what they may not make they may not change or delete either. */
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AccessRole } from './access-role.js';
import { matchesDnsName } from './dns-name-pattern.js';
import { matchesSelector } from './selector-pattern.js';
import { matchesSpiffeId } from './spiffe-id-pattern.js';

/** What a role's rules see of an entry. */
export type JudgedEntry = Omit<
  RegistrationEntryContent,
  'hint' | 'expiresAt' | 'disablesX509SvidPrefetch' | 'includesJwtSvidJti'
>;

/** How long SVIDs live of which nothing is said. */
export interface DefaultTtls {
  readonly x509Seconds: number;
  readonly jwtSeconds: number;
}

/** @returns which rule of the role the entry breaks, as a sentence without a subject; undefined when it breaks none. */
export function brokenRule(role: AccessRole, entry: JudgedEntry, defaults: DefaultTtls): string | undefined {
  const { maySet } = role;
  const stray = brokenPrefixRule(role, entry.spiffeId);
  if (stray !== undefined) return stray;
  if (entry.isAdmin) return 'cannot have admin entries; no role can';
  if (entry.isDownstream) return 'cannot have downstream entries; no role can';
  if (!role.parents.some((pattern) => matchesSpiffeId(pattern, entry.parentId))) {
    return `does not have ${entry.parentId} among its parent_ids`;
  }
  const selector = entry.selectors.find((one) => !role.selectors.some((each) => matchesSelector(each, one)));
  if (selector !== undefined) {
    return `does not have ${JSON.stringify(formatSelector(selector))} among its selectors`;
  }
  const trustDomain = entry.federatesWith.find((one) => !maySet.federatesWith.has(one));
  if (trustDomain !== undefined) return `does not have ${trustDomain} among its may_set.federates_with`;
  if (entry.storesSvid && !maySet.storesSvid) return 'does not have may_set.store_svid';
  return (
    brokenDnsRule(role, entry.dnsNames) ??
    brokenTtlRule(role, 'X.509', entry.x509SvidTtlSeconds ?? defaults.x509Seconds) ??
    brokenTtlRule(role, 'JWT', entry.jwtSvidTtlSeconds ?? defaults.jwtSeconds)
  );
}

/** An SVID that is to be signed for whoever asks. */
export interface JudgedMint {
  readonly kind: 'X.509' | 'JWT' | 'WIT';
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  readonly ttlSeconds: number;
}

/** As `brokenRule`. */
export function brokenMintRule(role: AccessRole, svid: JudgedMint): string | undefined {
  return (
    brokenPrefixRule(role, svid.spiffeId) ??
    brokenDnsRule(role, svid.dnsNames) ??
    brokenTtlRule(role, svid.kind, svid.ttlSeconds)
  );
}

function brokenPrefixRule({ spiffeIdPrefix }: AccessRole, spiffeId: SpiffeId): string | undefined {
  if (spiffeId.startsWith(spiffeIdPrefix)) return undefined;
  return `covers SPIFFE IDs under ${spiffeIdPrefix} only, not ${spiffeId}`;
}

function brokenDnsRule({ maySet }: AccessRole, dnsNames: readonly string[]): string | undefined {
  const dnsName = dnsNames.find((one) => !maySet.dnsNames.some((pattern) => matchesDnsName(pattern, one)));
  if (dnsName === undefined) return undefined;
  return `does not have ${JSON.stringify(dnsName)} among its may_set.dns_names`;
}

function brokenTtlRule({ maySet }: AccessRole, kind: string, ttlSeconds: number): string | undefined {
  const most = maySet.mostTtlSeconds;
  if (most === undefined || ttlSeconds <= most) return undefined;
  return `lets ${kind}-SVIDs live for ${most} seconds (may_set.ttl), and this would be ${ttlSeconds}`;
}
