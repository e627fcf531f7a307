import { parseConfig } from '@bonafide/shared/config/load-config';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { describe, expect, it } from 'vitest';
import { serverConfigSchema } from '../configuration/server-config.js';
import { rolesFromConfig } from './access-config.js';
import { matchesDnsName, parseDnsNamePattern } from './dns-name-pattern.js';
import { matchesSelector, parseSelectorPattern } from './selector-pattern.js';
import { matchesSpiffeId, parseSpiffeIdPattern } from './spiffe-id-pattern.js';

const ROLE = {
  name: 'team-a',
  spiffe_id_prefix: 'spiffe://example.org/team-a',
  verbs: ['read', 'create'],
  selectors: ['unix:*'],
  parent_ids: ['spiffe://example.org/team-a/nodes'],
  members: ['spiffe://example.org/team-a/ops', { uid: 1001 }, { gid: 2000 }],
};

function parse(access: object): ReturnType<typeof rolesFromConfig> {
  const text = JSON.stringify({ server: { trust_domain: 'example.org' }, access });
  return rolesFromConfig(parseConfig('server.json', text, serverConfigSchema).access);
}

describe('access.roles', () => {
  it('come with a prefix that ends at a slash, and their members by kind', () => {
    for (const prefix of ['spiffe://example.org/team-a', 'spiffe://example.org/team-a/']) {
      const [role] = parse({ roles: [{ ...ROLE, spiffe_id_prefix: prefix }] });
      expect(role?.spiffeIdPrefix).toBe('spiffe://example.org/team-a/');
      expect(role?.members).toEqual({
        spiffeIds: new Set(['spiffe://example.org/team-a/ops']),
        uids: new Set([1001]),
        gids: new Set([2000]),
      });
    }
    expect(parse({})).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['admin entries', { may_set: { admin: true } }, 'is never true: admin entries give rights'],
    [
      'downstream entries',
      { may_set: { downstream: true } },
      'is never true: downstream entries give rights',
    ],
    [
      'another trust domain',
      { spiffe_id_prefix: 'spiffe://other.example/team-a/' },
      'is not for workloads of example.org',
    ],
    [
      'agents',
      { spiffe_id_prefix: 'spiffe://example.org/spire/agent' },
      'is not for workloads of example.org',
    ],
    [
      'a parent elsewhere',
      { parent_ids: ['spiffe://other.example/x'] },
      'is not in trust domain example.org',
    ],
    ['a doubled slash', { spiffe_id_prefix: 'spiffe://example.org/team-a//' }, 'empty segment'],
    ['no verbs', { verbs: [] }, 'verbs'],
    ['an unknown verb', { verbs: ['rule'] }, 'verbs'],
    ['writing without reading', { verbs: ['create'] }, 'without read'],
    ['writing without selectors', { selectors: [] }, 'is empty, so that no entry could be written'],
    ['writing without parents', { parent_ids: [] }, 'is empty, so that no entry could be written'],
    ['a star inside', { selectors: ['unix:*:1'] }, 'is not a pattern of selectors'],
    ['no members', { members: [] }, 'members'],
    ['root', { members: [{ uid: 0 }] }, 'access.roles.0.members.0'],
    ['an agent as member', { members: ['spiffe://example.org/spire/agent/x/1'] }, 'access.roles.0.members.0'],
    ['a member of two kinds', { members: [{ uid: 1, gid: 1 }] }, 'access.roles.0.members.0'],
    ['a name with a dot', { name: 'team.a' }, 'is no name of a role'],
    ['an unknown key', { verb: ['read'] }, 'verb'],
  ])('are refused with %s', (_what, changes, problem) => {
    expect(() => parse({ roles: [{ ...ROLE, ...changes }] })).toThrow(problem);
  });

  it('are refused with two of one name', () => {
    expect(() => parse({ roles: [ROLE, ROLE] })).toThrow('two roles of one name');
  });
});

describe('patterns', () => {
  it.each([
    ['*', 'unix:uid:1', true],
    ['unix:*', 'unix:uid:1', true],
    ['unix:*', 'unixx:uid:1', false],
    ['k8s:ns:team-a', 'k8s:ns:team-a', true],
    ['k8s:ns:team-a', 'k8s:ns:team-ab', false],
    ['k8s:ns:team-*', 'k8s:ns:team-ab', true],
  ])('of selectors: %s and %s', (pattern, selector, isMatched) => {
    expect(matchesSelector(parseSelectorPattern(pattern), parseSelector(selector))).toBe(isMatched);
  });

  it.each([
    ['a.example', 'A.example', true],
    ['a.example', 'b.a.example', false],
    ['*.a.example', 'b.a.example', true],
    ['*.a.example', '*.a.example', true],
    ['*.a.example', 'c.b.A.Example', true],
    ['*.a.example', 'a.example', false],
    ['*.a.example', 'xa.example', false],
  ])('of DNS names: %s and %s', (pattern, name, isMatched) => {
    expect(matchesDnsName(parseDnsNamePattern(pattern), name)).toBe(isMatched);
  });

  it.each([
    ['spiffe://example.org/n', 'spiffe://example.org/n', true],
    ['spiffe://example.org/n', 'spiffe://example.org/n/m', false],
    ['spiffe://example.org/n/*', 'spiffe://example.org/n/m', true],
    ['spiffe://example.org/n/*', 'spiffe://example.org/n', false],
    ['spiffe://example.org/n/*', 'spiffe://example.org/nm', false],
  ])('of SPIFFE IDs: %s and %s', (pattern, id, isMatched) => {
    expect(matchesSpiffeId(parseSpiffeIdPattern(pattern), parseSpiffeId(id))).toBe(isMatched);
  });
});
