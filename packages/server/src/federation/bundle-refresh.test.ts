import { formatBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import {
  parseBundleEndpointUrl,
  type BundleEndpointProfile,
  type FederationRelationship,
} from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { createLogger, type Logger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { ScriptedEndpoint, serveText } from '@bonafide/testing/scripted-endpoint';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { readFileSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { FederatedBundles } from '../trust-bundle/federated-bundles.js';
import { BundleRefresh } from './bundle-refresh.js';
import { FederationRelationships } from './relationships.js';

const OWN = parseTrustDomain('example.org');
const OTHER = parseTrustDomain('other.test');
const SPIFFE: BundleEndpointProfile = {
  kind: 'https_spiffe',
  endpointId: parseSpiffeId('spiffe://other.test/spire/server'),
};

let other: TestAuthority;
let next: TestAuthority;
let svid: X509Svid;
let web: X509Svid;
beforeAll(async () => {
  other = await TestAuthority.create('other.test');
  next = await TestAuthority.create('other.test');
  svid = await other.issueX509Svid('/spire/server');
  web = await other.issueX509Svid('/web', { certificate: { uriNames: [], dnsNames: ['localhost'] } });
});

let directory: TemporaryDirectory;
let log: Logger;
let clock: FakeClock;
let store: Store;
let bundles: FederatedBundles;
let graph: EntryGraph;
const running: BundleRefresh[] = [];

beforeEach(async () => {
  directory = createTemporaryDirectory();
  log = createLogger({ level: 'debug', format: 'json', file: directory.join('log') });
  clock = new FakeClock(new Date());
  store = await openStore({ path: ':memory:', log });
  bundles = new FederatedBundles({ store, trustDomain: OWN });
  graph = await EntryGraph.load({ store, trustDomain: OWN, clock, log });
});

afterEach(async () => {
  for (const refresh of running.splice(0)) await refresh.stop();
  expect(clock.pendingTimers).toBe(0);
  graph.stop();
  await store.close();
  directory.remove();
});

function relationship(url: string, profile = SPIFFE, trustDomain = OTHER): FederationRelationship {
  return { trustDomain, endpoint: { url: parseBundleEndpointUrl(url), profile } };
}

async function start(...configured: FederationRelationship[]) {
  const relationships = new FederationRelationships({ store, trustDomain: OWN, configured });
  const refresh = new BundleRefresh({
    relationships,
    store,
    federatedBundles: bundles,
    heldBundle: (name) => graph.bundle(name),
    webAuthorities: [encodePem('CERTIFICATE', other.certificate)],
    clock,
    log,
    random: () => 0,
  });
  running.push(refresh);
  await refresh.start();
  return { refresh, relationships };
}

const documentOf = (bundle: Partial<TrustBundle>): string =>
  formatBundleDocument({ ...other.bundle(next), sequenceNumber: 1, refreshHintSeconds: 60, ...bundle });

const held = (): TrustBundle | undefined => graph.bundle(OTHER);

function lines(level: string): readonly Record<string, unknown>[] {
  return readFileSync(directory.join('log'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['level'] === level);
}

async function until(condition: () => void): Promise<void> {
  await vi.waitFor(condition, { timeout: 60_000, interval: 10 });
}

describe('a relationship of the configuration', () => {
  it('is refreshed at once and after each hint, and a change is stored with a revision of its own', async () => {
    await bundles.set(other.bundle());
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(documentOf({ sequenceNumber: 4 })));
    await start(relationship(endpoint.url));
    await until(() => {
      expect(held()?.sequenceNumber).toBe(4);
    });
    const revision = await store.currentRevision();
    await until(() => {
      expect(clock.nextTimerMs).toBe(60_000);
    });
    await clock.advance(60_000);
    await until(() => {
      expect(endpoint.requests).toHaveLength(2);
      expect(clock.nextTimerMs).toBe(60_000);
    });
    // Nothing new: nobody is told.
    expect(await store.currentRevision()).toBe(revision);
    endpoint.script = serveText(documentOf({ sequenceNumber: 5 }));
    await clock.advance(60_000);
    await until(() => {
      expect(held()?.sequenceNumber).toBe(5);
    });
    expect(await store.currentRevision()).toBe(revision + 1);
  });

  it('counts the hint from a refresh by hand, and does not wait out an older and longer one', async () => {
    await bundles.set(other.bundle());
    const slow = documentOf({ sequenceNumber: 1, refreshHintSeconds: 3600 });
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(slow));
    const { refresh } = await start(relationship(endpoint.url));
    await until(() => {
      expect(clock.nextTimerMs).toBe(3_600_000);
    });
    await clock.advance(1000);
    endpoint.script = serveText(documentOf({ sequenceNumber: 2, refreshHintSeconds: 30 }));
    await refresh.refresh(OTHER);
    await until(() => {
      expect(clock.nextTimerMs).toBe(30_000);
    });
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(29_999);
    expect(endpoint.requests).toHaveLength(2);
    await clock.advance(1);
    await until(() => {
      expect(endpoint.requests).toHaveLength(3);
    });
  });

  it('waits for the bundle that authenticates the endpoint, and goes on as soon as it is set', async () => {
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(documentOf({ sequenceNumber: 4 })));
    const { refresh } = await start(relationship(endpoint.url));
    await expect(refresh.refresh(OTHER)).rejects.toThrow(
      /set its bundle once with bundle set --id other\.test/,
    );
    expect(endpoint.connections).toBe(0);
    await bundles.set(other.bundle());
    await until(() => {
      expect(held()?.sequenceNumber).toBe(4);
    });
  });

  it('wins over one that was made through the API', async () => {
    await using configured = await ScriptedEndpoint.overTls(web, serveText(documentOf({})));
    const { relationships, refresh } = await start(relationship(configured.url, { kind: 'https_web' }));
    await relationships.create(relationship('https://localhost:1/'), undefined);
    await refresh.refresh(OTHER);
    expect(held()?.sequenceNumber).toBe(1);
    expect((await relationships.list({ size: 0, token: undefined })).items).toHaveLength(1);
    await relationships.delete(OTHER);
    await refresh.refresh(OTHER);
  });
});

describe('a relationship made through the API', () => {
  it('is followed as it comes, changes and goes', async () => {
    await using one = await ScriptedEndpoint.overTls(web, serveText(documentOf({ sequenceNumber: 1 })));
    await using two = await ScriptedEndpoint.overTls(web, serveText(documentOf({ sequenceNumber: 2 })));
    const { relationships, refresh } = await start();
    await expect(refresh.refresh(OTHER)).rejects.toMatchObject({
      reason: 'not_found',
      message: 'no relationship with trust domain "other.test"',
    });
    await relationships.create(relationship(one.url, { kind: 'https_web' }), undefined);
    await until(() => {
      expect(held()?.sequenceNumber).toBe(1);
    });
    await relationships.update(OTHER, { url: parseBundleEndpointUrl(two.url) }, undefined);
    await until(() => {
      expect(held()?.sequenceNumber).toBe(2);
    });
    await relationships.delete(OTHER);
    await until(() => {
      expect(clock.pendingTimers).toBe(0);
    });
    await expect(refresh.refresh(OTHER)).rejects.toMatchObject({ reason: 'not_found' });
    // The bundle is trusted until it is deleted itself.
    expect(held()?.sequenceNumber).toBe(2);
  });

  it('stores nothing of an answer that comes after it was deleted', async () => {
    let answer: () => void = () => undefined;
    await using endpoint = await ScriptedEndpoint.overTls(web, (socket, request) => {
      answer = () => {
        serveText(documentOf({}))(socket, request);
      };
    });
    const { relationships } = await start();
    await relationships.create(relationship(endpoint.url, { kind: 'https_web' }), undefined);
    await until(() => {
      expect(endpoint.requests).toHaveLength(1);
    });
    await relationships.delete(OTHER);
    answer();
    await until(() => {
      expect(clock.pendingTimers).toBe(0);
    });
    expect(held()).toBeUndefined();
  });
});

describe('an endpoint that fails', () => {
  it('costs nothing but an alert: the last good bundle is kept, and retries back off up to the interval', async () => {
    await bundles.set(other.bundle());
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(documentOf({ sequenceNumber: 9 })));
    await start(relationship(endpoint.url));
    await until(() => {
      expect(clock.nextTimerMs).toBe(60_000);
    });
    const good = held();
    const bad = [
      serveText(documentOf({ sequenceNumber: 8 })),
      serveText('{"keys": []}'),
      serveText('{"keys": [], "spiffe_sequence": 9}'),
      serveText('<html>'),
    ];
    for (const [index, script] of bad.entries()) {
      endpoint.script = script;
      await clock.advance(clock.nextTimerMs ?? 0);
      await until(() => {
        expect(lines('error')).toHaveLength(index + 1);
        expect(clock.nextTimerMs).toBe(Math.min(7_500 * 2 ** index, 30_000));
      });
    }
    expect(held()).toEqual(good);
    expect(lines('error')[0]).toMatchObject({
      msg: expect.stringContaining('the last good one is kept') as string,
      trust_domain: 'other.test',
      bundle_endpoint_url: endpoint.url,
      bundle_endpoint_profile: 'https_spiffe',
      endpoint_spiffe_id: 'spiffe://other.test/spire/server',
      failures: 1,
      holds_bundle: true,
    });
    endpoint.script = serveText(documentOf({ sequenceNumber: 10 }));
    await clock.advance(30_000);
    await until(() => {
      expect(held()?.sequenceNumber).toBe(10);
      expect(clock.nextTimerMs).toBe(60_000);
    });
    expect(lines('info').map(({ msg }) => msg)).toContain('the bundle endpoint is well again');
  });

  it('that revokes everything with a newer number is believed, with an alert', async () => {
    await bundles.set({ ...other.bundle(), sequenceNumber: 3 });
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText('{"keys":[],"spiffe_sequence":4}'));
    const { refresh } = await start(relationship(endpoint.url));
    await until(() => {
      expect(held()?.x509Authorities).toEqual([]);
    });
    expect(lines('error')[0]?.['msg']).toContain('has revoked all of its keys');
    await expect(refresh.refresh(OTHER)).rejects.toThrow(/no X\.509 authority of other\.test is held/);
  });
});

it('never replaces our own bundle, whatever is asked', async () => {
  const { relationships } = await start();
  const own = relationship('https://localhost:1/', SPIFFE, OWN);
  await expect(relationships.create(own, undefined)).rejects.toThrow(
    'unable to create federation relationship for server trust domain',
  );
  await expect(relationships.update(OWN, {}, undefined)).rejects.toMatchObject({
    reason: 'invalid_argument',
  });
  await expect(bundles.replace({ ...other.bundle(), trustDomain: OWN }, () => true)).rejects.toMatchObject({
    reason: 'invalid_argument',
  });
});
