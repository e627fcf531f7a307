import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListedRegistry } from '../spire-import/listed-registry.js';
import { exampleEntry } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import { SpireAuthorization } from './authorized-by-spire.js';
import { OurAuthorization } from './authorized-by-us.js';
import { compareRegistries } from './compare-registries.js';
import { differenceText } from './difference.js';

const TRUST_DOMAIN = parseTrustDomain('example.org');
const NOW = new Date('2026-01-01T00:00:00Z');
const LATER = new Date('2026-01-02T00:00:00Z');

const id = (path: string): SpiffeId => parseSpiffeId(`spiffe://example.org/${path}`);

function entry(name: string, parent: string, more: Partial<RegistrationEntry> = {}): RegistrationEntry {
  return {
    ...exampleEntry({ path: `/${name}`, parent: `/${parent}`, selectors: ['unix:uid:1'] }),
    id: name,
    revisionNumber: 0,
    createdAt: NOW,
    ...more,
  };
}

function node(name: string, more: Partial<AttestedNode> = {}): AttestedNode {
  return {
    agentId: id(`spire/agent/x/${name}`),
    attestationType: 'x',
    serialNumber: '01',
    expiresAt: LATER,
    nextSerialNumber: undefined,
    nextExpiresAt: undefined,
    selectors: [{ type: 'x', value: 'rack:1' }],
    isBanned: false,
    quarantine: undefined,
    canReattest: false,
    agentVersion: undefined,
    ...more,
  };
}

function registry(
  entries: readonly RegistrationEntry[],
  nodes: readonly AttestedNode[] = [node('a')],
): ListedRegistry {
  const bundle = {
    trustDomain: TRUST_DOMAIN,
    x509Authorities: [],
    jwtAuthorities: [],
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber: 1,
  };
  return { bundle, federatedBundles: [], relationships: [], entries, nodes };
}

const AGENT = 'spiffe://example.org/spire/agent/x/a';
const ALIAS = entry('rack', 'spire/server', { selectors: [{ type: 'x', value: 'rack:1' }] });
const WEB = entry('web', 'rack');
const texts = (spire: ListedRegistry, ours: ListedRegistry): readonly string[] =>
  compareRegistries(spire, ours, NOW).map(differenceText);

describe('two registries', () => {
  it('that say the same have no differences, whatever their revisions and the order of selectors', () => {
    const selectors = [
      { type: 'unix', value: 'uid:1' },
      { type: 'unix', value: 'gid:1' },
    ];
    const one = registry([ALIAS, { ...WEB, selectors }]);
    const other = registry([
      { ...WEB, selectors: selectors.toReversed(), revisionNumber: 7, createdAt: LATER },
      ALIAS,
    ]);
    expect(texts(one, other)).toEqual([]);
  });

  it('differ in an entry that one lacks, with the agents that would lack it', () => {
    expect(texts(registry([ALIAS, WEB]), registry([ALIAS]))).toEqual([
      `entry web (spiffe://example.org/web) is at SPIRE and not here; for the agent ${AGENT}`,
    ]);
    expect(texts(registry([ALIAS]), registry([ALIAS, WEB]))).toEqual([
      `entry web (spiffe://example.org/web) is here and not at SPIRE; for the agent ${AGENT}`,
    ]);
  });

  it('differ in the fields of an entry', () => {
    const other = registry([ALIAS, { ...WEB, hint: 'h', x509SvidTtlSeconds: 60 }]);
    expect(texts(registry([ALIAS, WEB]), other)).toEqual([
      `entry web (spiffe://example.org/web) differs in x509_svid_ttl, hint; for the agent ${AGENT}`,
    ]);
  });

  it('differ for the entries below an alias that reaches fewer agents', () => {
    const narrower = { ...ALIAS, selectors: [{ type: 'x', value: 'rack:2' }] };
    expect(texts(registry([ALIAS, WEB]), registry([narrower, WEB]))).toEqual([
      'entry rack (spiffe://example.org/rack) differs in selectors; no agent has it now',
      `entry web (spiffe://example.org/web) is at SPIRE and not here; for the agent ${AGENT}`,
    ]);
  });

  it('differ in an agent once, and not in each of its entries', () => {
    const banned = registry([ALIAS, WEB], [node('a', { isBanned: true })]);
    expect(texts(registry([ALIAS, WEB]), banned)).toEqual([`agent ${AGENT} (x) is at SPIRE and not here`]);
    expect(texts(banned, registry([ALIAS, WEB]))).toEqual([`agent ${AGENT} (x) is here and not at SPIRE`]);
  });

  it('agree on what has expired', () => {
    const over = { ...WEB, expiresAt: new Date(NOW.getTime() - 1) };
    expect(texts(registry([ALIAS, over]), registry([ALIAS]))).toEqual([]);
  });
});

describe('the entries of an agent', () => {
  const names = fc.constantFrom('a', 'b', 'c', 'd');
  const values = fc.constantFrom('1', '2', '3');
  const parents = fc.oneof(names, fc.constantFrom('spire/server', 'spire/agent/x/a', 'spire/agent/x/b'));
  const selectors = fc
    .uniqueArray(values, { minLength: 1 })
    .map((all) => all.map((value) => ({ type: 'x', value })));
  const entries = fc.array(fc.record({ name: names, parent: parents, selectors, isOver: fc.boolean() }), {
    maxLength: 20,
  });

  it('are the same by the rules of SPIRE and by our indexes, however entries hang together', () => {
    fc.assert(
      fc.property(entries, selectors, selectors, (made, ofA, ofB) => {
        const all = made.map(({ name, parent, selectors: own, isOver }, index) =>
          entry(name, parent, { id: `e${index}`, selectors: own, expiresAt: isOver ? NOW : undefined }),
        );
        const nodes = [node('a', { selectors: ofA }), node('b', { selectors: ofB })];
        const spire = new SpireAuthorization(all, TRUST_DOMAIN, NOW);
        const ours = new OurAuthorization(all, nodes, TRUST_DOMAIN, NOW);
        for (const one of nodes) expect([...spire.of(one)].sort()).toEqual([...ours.of(one.agentId)].sort());
      }),
      { numRuns: 300 },
    );
  });
});
