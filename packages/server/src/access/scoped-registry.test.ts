/** The registry of a scoped admin is the whole one through a predicate, whatever the entries, the roles and the request. */
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Registration } from '../registration/registration.js';
import type { EntryFilter } from '../store/entry-record.js';
import { exampleEntry, exampleTrustDomain } from '../store/example-records.js';
import type { Store } from '../store/store.js';
import { DATABASES, useStores } from '../store/store-fixtures.js';
import { VERBS, type AccessRole } from './access-role.js';
import { AccessRoles } from './access-roles.js';
import { AccessScope } from './scope.js';
import { parseSelectorPattern } from './selector-pattern.js';
import { parseSpiffeIdPattern, parseSpiffeIdPrefix } from './spiffe-id-pattern.js';

const trustDomain = exampleTrustDomain('example.org');
const clock = new FakeClock();
const defaultTtls = { x509Seconds: 3600, jwtSeconds: 300 };
const ADMIN = spiffeIdFromParts('example.org', '/a/chief');

/** Names that begin with one another, and signs on both sides of the slash. */
const segment = fc.constantFrom('a', 'ab', 'a-b', 'a.b', 'a0', 'b', 'chief');
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => `/${segments.join('/')}`);
const content: fc.Arbitrary<RegistrationEntryContent> = fc
  .record({
    path,
    parent: fc.constantFrom('/n', '/n/m', '/spire/server'),
    selectors: fc.uniqueArray(fc.constantFrom('unix:uid:1', 'unix:uid:2', 'k8s:ns:a'), {
      minLength: 1,
      maxLength: 3,
    }),
    isAdmin: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
    isDownstream: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
    hint: fc.constantFrom(undefined, 'x'),
  })
  .map(({ path: at, parent, selectors, ...more }) => ({
    ...exampleEntry({ path: at, parent, selectors }),
    ...more,
  }));

const role: fc.Arbitrary<AccessRole> = fc
  .record({
    prefix: fc.oneof(path, fc.constant('')),
    verbs: fc.uniqueArray(fc.constantFrom(...VERBS)),
    selectors: fc.uniqueArray(fc.constantFrom('*', 'unix:*', 'k8s:ns:a', 'unix:uid:1')),
    parents: fc.uniqueArray(fc.constantFrom('/n', '/n/*', '/spire/server')),
    name: fc.constantFrom('r1', 'r2', 'r3'),
  })
  .map(({ prefix, verbs, selectors, parents, name }) => ({
    name,
    spiffeIdPrefix: parseSpiffeIdPrefix(`spiffe://example.org${prefix}`),
    verbs: new Set([...verbs, 'read' as const]),
    selectors: selectors.map(parseSelectorPattern),
    parents: parents.map((text) => parseSpiffeIdPattern(`spiffe://example.org${text}`)),
    maySet: { federatesWith: new Set(), dnsNames: [], storesSvid: false, mostTtlSeconds: undefined },
    members: { spiffeIds: new Set<SpiffeId>(), uids: new Set<number>(), gids: new Set<number>() },
  }));
const roles = fc.uniqueArray(role, { minLength: 1, maxLength: 3, selector: ({ name }) => name });

function scopeWith(own: readonly AccessRole[]): AccessScope {
  return new AccessScope({
    roles: own,
    allRoles: new AccessRoles(own),
    adminIds: new Set([ADMIN]),
    defaultTtls,
  });
}

/** As the guide has it, and nothing faster. */
const covers = (one: AccessRole, id: SpiffeId): boolean => id.startsWith(one.spiffeIdPrefix);
const mayRead = (own: readonly AccessRole[], id: SpiffeId): boolean => own.some((one) => covers(one, id));

function mayWrite(
  own: readonly AccessRole[],
  verb: 'create' | 'update' | 'delete',
  entry: RegistrationEntryContent,
  all: readonly RegistrationEntry[],
): boolean {
  const hasRights =
    entry.spiffeId === ADMIN ||
    all.some((each) => each.spiffeId === entry.spiffeId && (each.isAdmin || each.isDownstream));
  return (
    !hasRights &&
    own.some(
      (one) =>
        one.verbs.has(verb) &&
        covers(one, entry.spiffeId) &&
        !entry.isAdmin &&
        !entry.isDownstream &&
        one.parents.some(
          ({ text }) =>
            text === entry.parentId || (entry.parentId.startsWith(text.slice(0, -1)) && text.endsWith('/*')),
        ) &&
        entry.selectors.every(({ type, value }) =>
          one.selectors.some(({ text }) =>
            text.endsWith('*')
              ? `${type}:${value}`.startsWith(text.slice(0, -1))
              : text === `${type}:${value}`,
          ),
        ),
    )
  );
}

async function all(store: Store): Promise<readonly RegistrationEntry[]> {
  return (await store.entries.list({}, { size: 0, token: undefined })).items;
}

/** Empties the store and fills it. */
async function fill(
  store: Store,
  contents: readonly RegistrationEntryContent[],
): Promise<readonly RegistrationEntry[]> {
  const before = await all(store);
  await store.write(async ({ entries }) => {
    for (const { id } of before) await entries.delete(id);
    for (const each of contents) {
      if ((await entries.findSimilar(each)) === undefined) {
        await entries.create(each, { id: undefined, createdAt: clock.now() });
      }
    }
  });
  return all(store);
}

async function listed(
  registration: Registration,
  filter: EntryFilter,
  size: number,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (let token: string | undefined, isFirst = true; isFirst || token !== undefined; isFirst = false) {
    const page = await registration.listEntries(filter, { size, token });
    if (!isFirst) expect(page.items.length).toBeGreaterThan(0);
    if (size > 0) expect(page.items.length).toBeLessThanOrEqual(size);
    found.push(...page.items.map(({ id }) => id));
    token = page.nextPageToken;
  }
  return found;
}

describe.each(DATABASES)('a scoped registry on %s', (database) => {
  const stores = useStores(database);
  const numRuns = database === 'sqlite' ? 60 : 20;

  it('lists, counts and gets what the roles cover, and nothing else', async () => {
    const store = await stores.open();
    const registration = new Registration({ store, trustDomain, clock });
    const request = fc.record({
      contents: fc.array(content, { maxLength: 25 }),
      own: roles,
      size: fc.integer({ min: 0, max: 4 }),
      filter: fc.record(
        { parent: fc.constantFrom('/n', '/n/m'), hint: fc.constant('x'), isDownstream: fc.boolean(), path },
        { requiredKeys: [] },
      ),
    });
    await fc.assert(
      fc.asyncProperty(
        request,
        async ({ contents, own, size, filter: { parent, hint, isDownstream, path: at } }) => {
          const everything = await fill(store, contents);
          const scope = scopeWith(own);
          const filter: EntryFilter = {
            parentId: parent === undefined ? undefined : spiffeIdFromParts('example.org', parent),
            spiffeId: at === undefined ? undefined : spiffeIdFromParts('example.org', at),
            hint,
            isDownstream,
          };
          const expected = everything
            .filter(
              (entry) =>
                mayRead(own, entry.spiffeId) &&
                (filter.parentId === undefined || entry.parentId === filter.parentId) &&
                (filter.spiffeId === undefined || entry.spiffeId === filter.spiffeId) &&
                (hint === undefined || entry.hint === hint) &&
                (isDownstream === undefined || entry.isDownstream === isDownstream),
            )
            .map(({ id }) => id)
            .sort();
          const scoped = { ...filter, under: scope.readPrefixes };
          expect((await listed(registration, scoped, size)).toSorted()).toEqual(expected);
          expect(await registration.countEntries(scoped)).toBe(expected.length);
          for (const { id, spiffeId } of everything) {
            expect((await registration.getEntry(id, scope))?.id).toBe(
              mayRead(own, spiffeId) ? id : undefined,
            );
          }
        },
      ),
      { numRuns },
    );
  });

  it('changes what the roles could have made, and answers about the rest as if it were not there', async () => {
    const store = await stores.open();
    const registration = new Registration({ store, trustDomain, clock });
    const request = fc.record({
      contents: fc.array(content, { minLength: 1, maxLength: 15 }),
      own: roles,
      wanted: content,
      at: fc.nat(),
      verb: fc.constantFrom('create', 'update', 'delete'),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ contents, own, wanted, at, verb }) => {
        const before = await fill(store, contents);
        const target = before[at % before.length];
        if (target === undefined) throw new Error('there is an entry');
        const scope = scopeWith(own);
        const answer = async (): Promise<string> => {
          if (verb === 'create') {
            const { outcomes } = await registration.createEntries(
              [{ id: undefined, content: wanted }],
              scope,
            );
            return answerOf(outcomes[0]);
          }
          const { outcomes } =
            verb === 'update'
              ? await registration.updateEntries([{ id: target.id, changes: wanted }], scope)
              : await registration.deleteEntries([target.id], scope);
          return answerOf(outcomes[0]);
        };
        const isSeen = mayRead(own, target.spiffeId);
        const isAllowed =
          verb === 'create'
            ? mayWrite(own, 'create', wanted, before)
            : mayWrite(own, verb, target, before) &&
              (verb === 'delete' || mayWrite(own, 'update', wanted, before));
        const said = await answer();
        if (verb !== 'create' && !isSeen) expect(said).toBe('not_found');
        else if (!isAllowed) expect(said).toBe('permission_denied');
        else expect(['created', 'updated', 'deleted', 'similar']).toContain(said);
        if (!isAllowed) expect(await all(store)).toEqual(before);
      }),
      { numRuns: numRuns * 2 },
    );
  });
});

function answerOf(
  outcome: { readonly kind: string; readonly error?: { readonly reason: string } } | undefined,
): string {
  return outcome?.error?.reason ?? outcome?.kind ?? 'nothing';
}
