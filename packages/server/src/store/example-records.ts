/** Records for the tests of the store and of the rooms above it. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { agentId, spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { CompactEntry } from './entry-record.js';
import type { AttestedNode } from './node-record.js';

export const exampleTrustDomain = parseTrustDomain;
const EXAMPLE_ORG: TrustDomain = parseTrustDomain('example.org');

export function exampleEntry(
  options: {
    readonly path?: string;
    readonly parent?: string;
    readonly selectors?: readonly string[];
  } = {},
): RegistrationEntryContent {
  const { path = '/web', parent = '/spire/agent/join_token/node', selectors = ['unix:uid:1000'] } = options;
  return {
    spiffeId: spiffeIdFromParts(EXAMPLE_ORG, path),
    parentId: spiffeIdFromParts(EXAMPLE_ORG, parent),
    selectors: selectors.map(parseSelector),
    x509SvidTtlSeconds: undefined,
    jwtSvidTtlSeconds: undefined,
    federatesWith: [],
    isAdmin: false,
    isDownstream: false,
    expiresAt: undefined,
    dnsNames: [],
    storesSvid: false,
    hint: undefined,
    disablesX509SvidPrefetch: false,
    includesJwtSvidJti: false,
  };
}

/** As the entry graph reads it. */
export function compactEntry(entry: RegistrationEntry): CompactEntry {
  const { id, spiffeId, parentId, expiresAt, createdAt, revisionNumber, ...terms } = entry;
  const times = { expiresAt: expiresAt?.getTime(), createdAt: createdAt.getTime() };
  return { id, spiffeId, parentId, terms, ...times, revisionNumber };
}

export function exampleNode(changes: Partial<AttestedNode> = {}): AttestedNode {
  return {
    agentId: agentId(EXAMPLE_ORG, 'join_token', 'node'),
    attestationType: 'join_token',
    serialNumber: 'a1',
    expiresAt: new Date('2030-01-02T00:00:00Z'),
    nextSerialNumber: undefined,
    nextExpiresAt: undefined,
    selectors: [],
    isBanned: false,
    quarantine: undefined,
    canReattest: false,
    agentVersion: undefined,
    ...changes,
  };
}

export function exampleBundle(trustDomain: string): TrustBundle {
  return {
    trustDomain: parseTrustDomain(trustDomain),
    x509Authorities: [
      { certificate: Buffer.from([1, 2, 3]), isTainted: false },
      { certificate: Buffer.from([255, 0]), isTainted: true },
    ],
    jwtAuthorities: [
      { publicKey: Buffer.from([4]), keyId: 'a', expiresAt: new Date(9000), isTainted: false },
      { publicKey: Buffer.from([5]), keyId: 'b', expiresAt: undefined, isTainted: true },
    ],
    witAuthorities: [],
    refreshHintSeconds: 300,
    sequenceNumber: 1,
  };
}
