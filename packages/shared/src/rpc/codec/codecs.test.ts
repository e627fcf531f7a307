/** What goes over the wire comes back the same, and what should not come over it is refused by name. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TokenAuthority, TrustBundle } from '../../bundle/trust-bundle.js';
import { BonafideError } from '../../errors/bonafide-error.js';
import type { RegistrationEntry } from '../../registration/registration-entry.js';
import { createSelector, normalizeSelectors } from '../../registration/selector.js';
import { spiffeIdFromParts } from '../../spiffe-id/spiffe-id.js';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.js';
import type { WatchRequest, WatchResponse } from '../../sync/watch-message.js';
import type { Entry, Entry__Output } from '../gen/spire/api/types/Entry.js';
import { loadService } from '../load-service.js';
import { agentToProto } from './agent.js';
import { bundleMaskFromProto } from './bundle-mask.js';
import { bundleFromProto, bundleToProto, bundleUpdateFromProto } from './bundle.js';
import { entryFilterFromProto } from './entry-filter.js';
import { entryMaskFromProto } from './entry-mask.js';
import { entryContentFromProto, entryFromProto, entryToProto, entryUpdateFromProto } from './entry.js';
import { MAX_DNS_NAMES, MAX_SELECTORS } from './limits.js';
import { matchBehaviorFromProto, matchBehaviorToProto } from './selector.js';
import {
  watchRequestFromProto,
  watchRequestToProto,
  watchResponseFromProto,
  watchResponseToProto,
} from './watch-message.js';
import { x509SvidToProto } from './x509-svid.js';

const entries = loadService('spire.api.server.entry.v1.Entry').definition;
const bundles = loadService('spire.api.server.bundle.v1.Bundle').definition;
const agents = loadService('spire.api.server.agent.v1.Agent').definition;
const sync = loadService('bonafide.sync.v1.Sync').definition;

function overTheWire<Input, Output>(
  method: {
    readonly responseSerialize: (value: Input) => Buffer;
    readonly responseDeserialize: (bytes: Buffer) => Output;
  },
  message: Input,
): Output {
  return method.responseDeserialize(method.responseSerialize(message));
}

const from = (text: string): fc.Arbitrary<string> => fc.constantFrom(...Array.from(text));
const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
const trustDomain = fc
  .string({ unit: from(`${letters}.-_`), minLength: 1, maxLength: 30 })
  .map(parseTrustDomain);
const segment = fc
  .string({ unit: from(`${letters}ABC._-`), minLength: 1, maxLength: 12 })
  .filter((text) => text !== '.' && text !== '..');
const spiffeId = fc
  .tuple(trustDomain, fc.array(segment, { maxLength: 4 }))
  .map(([domain, segments]) => spiffeIdFromParts(domain, segments.map((text) => `/${text}`).join('')));
const wellFormed = (options: fc.StringConstraints): fc.Arbitrary<string> =>
  fc.string({ unit: 'binary', ...options });
const selector = fc
  .tuple(
    wellFormed({ minLength: 1, maxLength: 20 }).filter((type) => !type.includes(':')),
    wellFormed({ minLength: 1, maxLength: 60 }),
  )
  .map(([type, value]) => createSelector(type, value));
const selectors = fc.array(selector, { minLength: 1, maxLength: 5 }).map(normalizeSelectors);
const date = fc.integer({ min: 1, max: 8_640_000_000_000 }).map((seconds) => new Date(seconds * 1000));
const seconds = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const count = fc.maxSafeNat();
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((array) => Buffer.from(array));
const entryId = fc.string({ unit: from(`${letters}ABC._-`), minLength: 1, maxLength: 255 });
const trustDomainSet = fc.uniqueArray(trustDomain, { maxLength: 4 }).map((names) => names.sort());

const entry: fc.Arbitrary<RegistrationEntry> = fc.record({
  id: entryId,
  spiffeId,
  parentId: spiffeId,
  selectors,
  x509SvidTtlSeconds: maybe(seconds),
  jwtSvidTtlSeconds: maybe(seconds),
  federatesWith: trustDomainSet,
  isAdmin: fc.boolean(),
  isDownstream: fc.boolean(),
  expiresAt: maybe(date),
  dnsNames: fc.array(wellFormed({ maxLength: 60 }), { maxLength: 4 }),
  storesSvid: fc.boolean(),
  hint: maybe(wellFormed({ minLength: 1, maxLength: 40 })),
  disablesX509SvidPrefetch: fc.boolean(),
  includesJwtSvidJti: fc.boolean(),
  revisionNumber: count,
  createdAt: date,
});

const tokenAuthority: fc.Arbitrary<TokenAuthority> = fc.record({
  publicKey: bytes,
  keyId: wellFormed({ minLength: 1, maxLength: 30 }),
  expiresAt: maybe(date),
  isTainted: fc.boolean(),
});

const bundle: fc.Arbitrary<TrustBundle> = fc.record({
  trustDomain,
  x509Authorities: fc.array(fc.record({ certificate: bytes, isTainted: fc.boolean() }), { maxLength: 3 }),
  jwtAuthorities: fc.array(tokenAuthority, { maxLength: 3 }),
  witAuthorities: fc.array(tokenAuthority, { maxLength: 3 }),
  refreshHintSeconds: maybe(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
  sequenceNumber: count,
});

const cursor = fc.record({ logId: wellFormed({ minLength: 1, maxLength: 30 }), revision: count });

const watchRequest: fc.Arbitrary<WatchRequest> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    cursor: maybe(cursor),
    agentVersion: wellFormed({ maxLength: 20 }),
  }),
  fc.record({ kind: fc.constant('acknowledgement' as const), revision: count }),
);

const watchResponse: fc.Arbitrary<WatchResponse> = fc.oneof(
  fc
    .record({
      kind: fc.constant('snapshot_page' as const),
      cursor,
      entries: fc.array(entry, { maxLength: 3 }),
      bundles: fc.array(bundle, { maxLength: 2 }),
      isLast: fc.boolean(),
    })
    .map(({ cursor: position, ...page }) => ({ ...page, ...position })),
  fc
    .record({
      kind: fc.constant('delta' as const),
      cursor,
      upsertedEntries: fc.array(entry, { maxLength: 3 }),
      removedEntryIds: fc.array(entryId, { maxLength: 3 }),
      upsertedBundles: fc.array(bundle, { maxLength: 2 }),
      removedBundleTrustDomains: fc.array(trustDomain, { maxLength: 3 }),
    })
    .map(({ cursor: position, ...delta }) => ({ ...delta, ...position })),
);

function decodedEntry(message: Entry): Entry__Output {
  return overTheWire(entries.GetEntry, message);
}

const PLAIN: Entry = {
  id: 'e1',
  spiffeId: { trustDomain: 'example.org', path: '/web' },
  parentId: { trustDomain: 'example.org', path: '/spire/agent/join_token/t' },
  selectors: [{ type: 'unix', value: 'uid:1000' }],
};

function refusalOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(BonafideError);
    expect(error).toHaveProperty('reason', 'invalid_argument');
    return (error as BonafideError).message;
  }
  throw new Error('nothing was refused');
}

describe('entries', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(entry, (value) => {
        expect(entryFromProto(decodedEntry(entryToProto(value)))).toEqual(value);
      }),
    );
  });

  it('have their selectors and trust domains put in order, each once', () => {
    const content = entryContentFromProto(
      decodedEntry({
        ...PLAIN,
        selectors: [
          { type: 'unix', value: 'uid:2' },
          { type: 'k8s', value: 'ns:a' },
          { type: 'unix', value: 'uid:2' },
        ],
        federatesWith: ['spiffe://b.test', 'a.test', 'b.test'],
      }),
    );
    expect(content.selectors).toEqual([
      { type: 'k8s', value: 'ns:a' },
      { type: 'unix', value: 'uid:2' },
    ]);
    expect(content.federatesWith).toEqual(['a.test', 'b.test']);
  });

  it.each<[Entry, string]>([
    [{ ...PLAIN, spiffeId: null }, 'spiffe_id: is missing'],
    [{ ...PLAIN, spiffeId: { trustDomain: 'Example.org', path: '/web' } }, "spiffe_id: trust domain has 'E'"],
    [{ ...PLAIN, spiffeId: { trustDomain: 'a/b', path: '/web' } }, "spiffe_id: trust domain has '/'"],
    [
      { ...PLAIN, parentId: { trustDomain: 'example.org', path: 'web' } },
      'parent_id: SPIFFE ID path must start',
    ],
    [
      { ...PLAIN, parentId: { trustDomain: 'example.org', path: '/a/../b' } },
      "parent_id: SPIFFE ID path has a '..'",
    ],
    [
      { ...PLAIN, parentId: { trustDomain: 'example.org', path: `/${'a'.repeat(2048)}` } },
      'parent_id: SPIFFE ID is longer',
    ],
    [{ ...PLAIN, selectors: [] }, 'selectors: is empty'],
    [
      {
        ...PLAIN,
        selectors: [
          { type: 'a', value: 'b' },
          { type: 'a:b', value: 'c' },
        ],
      },
      'selectors[1]: selector type',
    ],
    [
      { ...PLAIN, selectors: [{ type: 'a', value: '' }] },
      'selectors[0]: selector of type "a" has an empty value',
    ],
    [
      { ...PLAIN, selectors: Array.from({ length: MAX_SELECTORS + 1 }, () => ({ type: 'a', value: 'b' })) },
      'selectors: 1001 are too many; at most 1000 are accepted',
    ],
    [{ ...PLAIN, x509SvidTtl: -1 }, 'x509_svid_ttl: is out of range'],
    [{ ...PLAIN, jwtSvidTtl: -1 }, 'jwt_svid_ttl: is out of range'],
    [{ ...PLAIN, expiresAt: -1 }, 'expires_at: is out of range'],
    [{ ...PLAIN, expiresAt: '9223372036854775807' }, 'expires_at: is out of range'],
    [{ ...PLAIN, expiresAt: 8_640_000_000_001 }, 'expires_at: is later than any date'],
    [{ ...PLAIN, federatesWith: ['a.test', ''] }, 'federates_with[1]: trust domain is empty'],
    [{ ...PLAIN, dnsNames: ['a', 'b'.repeat(256)] }, 'dns_names[1]: DNS name: is longer than 255 bytes'],
    [
      { ...PLAIN, dnsNames: Array.from({ length: MAX_DNS_NAMES + 1 }, () => 'a') },
      'dns_names: 1001 are too many',
    ],
    [{ ...PLAIN, hint: 'ü'.repeat(513) }, 'hint: is longer than 1024 bytes'],
  ])('are refused by the name of the field, %#', (message, text) => {
    const decoded = decodedEntry(message);
    expect(refusalOf(() => entryContentFromProto(decoded))).toContain(text);
    expect(refusalOf(() => entryFromProto(decoded))).toContain(`entry e1: ${text}`);
  });

  it.each(['', 'a/b', 'a b', 'é', 'a\n', 'a'.repeat(256)])('do not have the id %j', (id) => {
    expect(refusalOf(() => entryFromProto(decodedEntry({ ...PLAIN, id })))).toContain('id: is no entry id');
  });

  it('refuse a revision number that a double cannot hold', () => {
    const decoded = decodedEntry({ ...PLAIN, revisionNumber: '9007199254740993' });
    expect(refusalOf(() => entryFromProto(decoded))).toContain('revision_number: is out of range');
  });

  it('show nothing but the masked fields and the id', () => {
    const [value] = fc.sample(entry, 1);
    if (value === undefined) throw new Error('no sample');
    const none = Object.fromEntries(Object.keys(entryMaskFromProto(null)).map((key) => [key, false]));
    const empty = { ...entryMaskFromProto(null), ...none };
    expect(entryToProto(value, empty)).toEqual({ id: value.id });
    for (const key of Object.keys(none)) {
      const fields = Object.keys(entryToProto(value, { ...empty, [key]: true }));
      expect(fields.filter((field) => field !== 'id' && field !== key)).toEqual([]);
    }
  });

  it('are updated field by field, without need of the others', () => {
    const none = { ...entryMaskFromProto(null) };
    for (const key of Object.keys(none) as (keyof typeof none)[]) none[key] = false;
    const bare = decodedEntry({ id: 'e1', hint: 'h', additionalAttributes: { jwtSvidIncludeJti: true } });
    expect(entryUpdateFromProto(bare, none)).toEqual({ id: 'e1', content: {} });
    expect(entryUpdateFromProto(bare, { ...none, hint: true, expiresAt: true })).toStrictEqual({
      id: 'e1',
      content: { hint: 'h', expiresAt: undefined },
    });
    expect(entryUpdateFromProto(bare, { ...none, additionalAttributes: true }).content).toEqual({
      disablesX509SvidPrefetch: false,
      includesJwtSvidJti: true,
    });
    expect(refusalOf(() => entryUpdateFromProto(bare, { ...none, spiffeId: true }))).toContain(
      'spiffe_id: is missing',
    );
    expect(refusalOf(() => entryUpdateFromProto(bare, entryMaskFromProto(null)))).toContain('is missing');
  });

  it('are updated to what was asked for when the mask has every field', () => {
    fc.assert(
      fc.property(entry, (value) => {
        const { id, revisionNumber, createdAt, ...content } = value;
        expect([revisionNumber, createdAt]).toBeDefined();
        const decoded = decodedEntry(entryToProto(value));
        expect(entryUpdateFromProto(decoded, entryMaskFromProto(null))).toEqual({ id, content });
        expect(entryContentFromProto(decoded)).toEqual(content);
      }),
    );
  });
});

describe('entry filters', () => {
  const decode = (filter: Parameters<typeof entries.ListEntries.requestSerialize>[0]['filter']) =>
    entryFilterFromProto(
      entries.ListEntries.requestDeserialize(
        entries.ListEntries.requestSerialize({ ...(filter && { filter }) }),
      ).filter,
    );

  it('hold exactly the conditions that are set', () => {
    expect(decode(null)).toEqual({});
    expect(decode({})).toEqual({});
    expect(
      decode({
        bySpiffeId: { trustDomain: 'example.org', path: '/web' },
        byParentId: { trustDomain: 'example.org' },
        bySelectors: { selectors: [{ type: 'unix', value: 'uid:1' }], match: 'MATCH_SUPERSET' },
        byFederatesWith: { trustDomains: ['b.test', 'a.test'], match: 'MATCH_ANY' },
        byHint: { value: '' },
        byDownstream: { value: true },
      }),
    ).toEqual({
      spiffeId: 'spiffe://example.org/web',
      parentId: 'spiffe://example.org',
      selectors: { named: [{ type: 'unix', value: 'uid:1' }], match: 'superset' },
      federatesWith: { named: ['a.test', 'b.test'], match: 'any' },
      hint: '',
      isDownstream: true,
    });
  });

  it('look for entries of downstream servers only when told so, for SPIRE’s command line sends false when it was not asked', () => {
    expect(decode({ byDownstream: { value: false } })).toEqual({});
  });

  it('refuse a match that names nothing, and a behavior that is not known', () => {
    expect(refusalOf(() => decode({ bySelectors: { selectors: [] } }))).toBe(
      'by_selectors: empty selector set',
    );
    expect(refusalOf(() => decode({ byFederatesWith: {} }))).toBe(
      'by_federates_with: empty trust domain set',
    );
    expect(refusalOf(() => decode({ bySpiffeId: {} }))).toContain('by_spiffe_id: trust domain is empty');
    expect(refusalOf(() => matchBehaviorFromProto(7))).toContain('match: 7 is not known');
    expect(refusalOf(() => matchBehaviorFromProto('toString'))).toContain('match: toString is not known');
  });

  it('know the four behaviors both ways', () => {
    for (const behavior of ['exact', 'subset', 'superset', 'any'] as const) {
      expect(matchBehaviorFromProto(matchBehaviorToProto(behavior))).toBe(behavior);
    }
  });
});

describe('bundles', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(bundle, (value) => {
        expect(bundleFromProto(overTheWire(bundles.GetBundle, bundleToProto(value)))).toEqual(value);
      }),
    );
  });

  it.each([
    [{ trustDomain: '' }, 'trust_domain: trust domain is empty'],
    [
      { trustDomain: 'a.test', x509Authorities: [{ asn1: Buffer.of(1) }, {}] },
      'x509_authorities[1]: asn1: is empty',
    ],
    [
      { trustDomain: 'a.test', x509Authorities: [{ asn1: Buffer.alloc(65_537) }] },
      'x509_authorities[0]: asn1: is longer than 65536 bytes',
    ],
    [
      { trustDomain: 'a.test', jwtAuthorities: [{ publicKey: Buffer.of(1) }] },
      'jwt_authorities[0]: key_id: is empty',
    ],
    [{ trustDomain: 'a.test', witAuthorities: [{ keyId: 'k' }] }, 'wit_authorities[0]: public_key: is empty'],
    [{ trustDomain: 'a.test', refreshHint: -1 }, 'refresh_hint: is out of range'],
    [{ trustDomain: 'a.test', sequenceNumber: 2 ** 53 }, 'sequence_number: is out of range'],
  ])('are refused by the name of the field, %#', (message, text) => {
    expect(refusalOf(() => bundleFromProto(overTheWire(bundles.GetBundle, message)))).toContain(text);
  });

  it('refuse a sequence number that a double cannot hold', () => {
    const largest = Buffer.from(`0a016128${'ff'.repeat(9)}01`, 'hex');
    const decoded = bundles.GetBundle.responseDeserialize(largest);
    expect(refusalOf(() => bundleFromProto(decoded))).toContain('sequence_number: is out of range');
  });

  it('show and take nothing but the masked fields and the trust domain', () => {
    const [value] = fc.sample(bundle, 1);
    if (value === undefined) throw new Error('no sample');
    const none = { ...bundleMaskFromProto(null) };
    for (const key of Object.keys(none) as (keyof typeof none)[]) none[key] = false;
    expect(bundleToProto(value, none)).toEqual({ trustDomain: value.trustDomain });
    const decoded = overTheWire(bundles.GetBundle, bundleToProto(value));
    expect(bundleUpdateFromProto(decoded, none)).toEqual({ trustDomain: value.trustDomain, content: {} });
    const { trustDomain: name, ...content } = value;
    expect(bundleUpdateFromProto(decoded, bundleMaskFromProto(null))).toEqual({ trustDomain: name, content });
  });
});

describe('agents', () => {
  const agent = {
    agentId: spiffeIdFromParts('example.org', '/spire/agent/join_token/t'),
    attestationType: 'join_token',
    serialNumber: 'ff01',
    expiresAt: new Date('2030-01-01T00:00:00.900Z'),
    selectors: [createSelector('tpm', 'x')],
    isBanned: false,
    canReattest: true,
    agentVersion: undefined,
  };

  it('are told with a decimal serial number and whole seconds', () => {
    expect(overTheWire(agents.GetAgent, agentToProto(agent))).toEqual({
      id: { trustDomain: 'example.org', path: '/spire/agent/join_token/t' },
      attestationType: 'join_token',
      x509svidSerialNumber: '65281',
      x509svidExpiresAt: 1_893_456_000,
      selectors: [{ type: 'tpm', value: 'x' }],
      banned: false,
      canReattest: true,
      agentVersion: '',
    });
    expect(agentToProto({ ...agent, serialNumber: undefined }).x509svidSerialNumber).toBe('');
  });

  it('show nothing but the masked fields and the id', () => {
    const mask = {
      attestationType: false,
      x509svidSerialNumber: false,
      x509svidExpiresAt: false,
      selectors: false,
      banned: true,
      canReattest: false,
      agentVersion: false,
    };
    expect(Object.keys(agentToProto(agent, mask))).toEqual(['id', 'banned']);
  });
});

describe('X.509-SVIDs', () => {
  it('carry chain, id, end and hint', () => {
    const svid = {
      spiffeId: spiffeIdFromParts('example.org', '/web'),
      certificateChain: [Buffer.of(1), Buffer.of(2)],
      notAfter: new Date('2030-01-01T00:00:00Z'),
    };
    const sent = x509SvidToProto({ ...svid, hint: 'internal' });
    const { svid: got } = overTheWire(agents.RenewAgent, { svid: sent });
    expect(got).toEqual({
      certChain: [Buffer.of(1), Buffer.of(2)],
      id: { trustDomain: 'example.org', path: '/web' },
      expiresAt: 1_893_456_000,
      hint: 'internal',
    });
    expect(x509SvidToProto(svid).hint).toBe('');
  });
});

describe('messages of the Watch stream', () => {
  it('come back as they went', () => {
    const { requestSerialize, requestDeserialize } = sync.Watch;
    fc.assert(
      fc.property(watchRequest, (value) => {
        const decoded = requestDeserialize(requestSerialize(watchRequestToProto(value)));
        expect(watchRequestFromProto(decoded)).toEqual(value);
      }),
    );
    fc.assert(
      fc.property(watchResponse, (value) => {
        expect(watchResponseFromProto(overTheWire(sync.Watch, watchResponseToProto(value)))).toEqual(value);
      }),
    );
  });

  it('are refused when they say nothing', () => {
    expect(refusalOf(() => watchRequestFromProto({}))).toContain('step: is missing');
    expect(refusalOf(() => watchResponseFromProto({}))).toContain('step: is missing');
  });

  it('name the item that is wrong', () => {
    const page = overTheWire(sync.Watch, { snapshotPage: { logId: 'l', entries: [PLAIN, { id: 'e2' }] } });
    expect(refusalOf(() => watchResponseFromProto(page))).toBe(
      'snapshot_page: entries[1]: entry e2: spiffe_id: is missing',
    );
    const acknowledgement = { step: 'acknowledgement', acknowledgement: { revision: 2 ** 53 } } as const;
    expect(refusalOf(() => watchRequestFromProto(acknowledgement))).toContain(
      'acknowledgement: revision: is out of range',
    );
  });

  it('never do worse than a refusal, whatever the bytes', () => {
    const survives = (work: () => unknown): void => {
      try {
        work();
      } catch (error) {
        expect(error).toBeInstanceOf(BonafideError);
      }
    };
    const decodeOrNothing = (data: Buffer): ReturnType<typeof sync.Watch.responseDeserialize> | undefined => {
      try {
        return sync.Watch.responseDeserialize(data);
      } catch {
        return undefined; // gRPC ends such a call before any codec sees it
      }
    };
    fc.assert(
      fc.property(
        watchResponse,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
        (value, mutations) => {
          const data = sync.Watch.responseSerialize(watchResponseToProto(value));
          if (data.length > 0) for (const [at, byte] of mutations) data[at % data.length] = byte;
          const decoded = decodeOrNothing(data);
          if (decoded !== undefined) survives(() => watchResponseFromProto(decoded));
        },
      ),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (array) => {
        const decoded = decodeOrNothing(Buffer.from(array));
        if (decoded !== undefined) survives(() => watchResponseFromProto(decoded));
      }),
      { numRuns: 500 },
    );
  });
});
