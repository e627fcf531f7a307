/** Whether two records say the same, whatever the order of what has none. */
import type { TokenAuthority, TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, normalizeSelectors } from '@bonafide/shared/registration/selector';
import type { AttestedNode } from '../store/node-record.js';

/** What makes two entries similar, in SPIRE's word: one of them is too many. */
export function similarityOf(
  entry: Pick<RegistrationEntryContent, 'spiffeId' | 'parentId' | 'selectors'>,
): string {
  return JSON.stringify([
    entry.spiffeId,
    entry.parentId,
    normalizeSelectors(entry.selectors).map(formatSelector),
  ]);
}

/** Equal texts are entries that grant the same. */
export function contentText(entry: RegistrationEntryContent): string {
  return JSON.stringify([
    similarityOf(entry),
    entry.x509SvidTtlSeconds,
    entry.jwtSvidTtlSeconds,
    [...new Set(entry.federatesWith)].sort(),
    entry.isAdmin,
    entry.isDownstream,
    entry.expiresAt?.getTime(),
    entry.dnsNames,
    entry.storesSvid,
    entry.hint,
    entry.disablesX509SvidPrefetch,
    entry.includesJwtSvidJti,
  ]);
}

/** Without a quarantine, which SPIRE does not have. */
export function isSameNode(one: AttestedNode, other: AttestedNode): boolean {
  return nodeText(one) === nodeText(other);
}

function nodeText(node: AttestedNode): string {
  return JSON.stringify([
    node.agentId,
    node.attestationType,
    node.serialNumber,
    node.expiresAt.getTime(),
    node.nextSerialNumber,
    node.nextExpiresAt?.getTime(),
    normalizeSelectors(node.selectors).map(formatSelector),
    node.isBanned,
    node.canReattest,
    node.agentVersion,
  ]);
}

/** Also the sequence number. */
export function isSameBundle(one: TrustBundle, other: TrustBundle): boolean {
  return bundleText(one) === bundleText(other);
}

function bundleText(bundle: TrustBundle): string {
  return JSON.stringify([
    bundle.x509Authorities.map(({ certificate, isTainted }) => [certificate.toString('base64'), isTainted]),
    bundle.jwtAuthorities.map(tokenText),
    bundle.witAuthorities.map(tokenText),
    bundle.refreshHintSeconds,
    bundle.sequenceNumber,
  ]);
}

function tokenText({ keyId, publicKey, expiresAt, isTainted }: TokenAuthority): readonly unknown[] {
  return [keyId, publicKey.toString('base64'), expiresAt?.getTime(), isTainted];
}
