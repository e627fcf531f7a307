import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, it } from 'vitest';
import { protoFieldName, protoJson } from './proto-json.js';

const ENTRY = 'spire.api.server.entry.v1.Entry';

describe('protoJson', () => {
  it('writes what SPIRE writes for a list of entries', () => {
    const entry = {
      id: 'one',
      spiffeId: { trustDomain: 'example.org', path: '/web' },
      parentId: null,
      selectors: [{ type: 'unix', value: 'uid:1000' }],
      x509SvidTtl: 60,
      federatesWith: [],
      admin: false,
      downstream: false,
      expiresAt: 1_552_410_266,
      dnsNames: [],
      revisionNumber: 0,
      storeSvid: false,
      jwtSvidTtl: 0,
      hint: '',
      createdAt: 0,
      additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: false },
    };
    const json = protoJson(ENTRY, 'spire.api.server.entry.v1.ListEntriesResponse', {
      entries: [entry],
      nextPageToken: '',
    });
    expect(JSON.stringify(json)).toBe(
      '{"entries":[{"additional_attributes":{"disable_x509_svid_prefetch":true,"jwt_svid_include_jti":false},"admin":false,' +
        '"created_at":"0","dns_names":[],"downstream":false,"expires_at":"1552410266","federates_with":[],"hint":"","id":"one",' +
        '"jwt_svid_ttl":0,"revision_number":"0","selectors":[{"type":"unix","value":"uid:1000"}],' +
        '"spiffe_id":{"path":"/web","trust_domain":"example.org"},"store_svid":false,"x509_svid_ttl":60}],"next_page_token":""}',
    );
  });

  it('writes bytes as base64, enums by name and messages in other messages', () => {
    const debug = protoJson('spire.api.server.debug.v1.Debug', 'spire.api.server.debug.v1.GetInfoResponse', {
      svidChain: [{ id: { trustDomain: 'a', path: '' }, expiresAt: 5, subject: 'C=US' }],
      uptime: 3,
    });
    expect(debug).toEqual({
      svid_chain: [{ id: { trust_domain: 'a', path: '' }, expires_at: '5', subject: 'C=US' }],
      uptime: 3,
    });
    expect(
      protoJson('spire.api.server.logger.v1.Logger', 'spire.api.types.Logger', {
        currentLevel: 'INFO',
        launchLevel: 'WARN',
      }),
    ).toEqual({ current_level: 'INFO', launch_level: 'WARN' });
    expect(
      protoJson('spire.api.server.bundle.v1.Bundle', 'spire.api.types.Bundle', {
        x509Authorities: [{ asn1: Buffer.from('abc'), tainted: false }],
      }),
    ).toEqual({ x509_authorities: [{ asn1: 'YWJj', tainted: false }] });
  });

  it('finds messages inside messages', () => {
    const results = [{ status: { code: 5, message: 'gone' }, id: 'x' }];
    expect(protoJson(ENTRY, 'spire.api.server.entry.v1.BatchDeleteEntryResponse', { results })).toEqual({
      results,
    });
  });

  it('writes maps with their keys', () => {
    const response = {
      svids: [],
      crl: [],
      federatedBundles: { 'spiffe://b': Buffer.from('b'), 'spiffe://a': Buffer.from('a') },
    };
    expect(JSON.stringify(protoJson('SpiffeWorkloadAPI', 'X509SVIDResponse', response))).toBe(
      '{"crl":[],"federated_bundles":{"spiffe://a":"YQ==","spiffe://b":"Yg=="},"svids":[]}',
    );
  });
});

describe('protoFieldName', () => {
  it('gives back every field name of every contract', () => {
    const folder = dirname(createRequire(import.meta.url).resolve('@bonafide/proto/package.json'));
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.proto'),
    );
    expect(files.length).toBeGreaterThan(20);
    for (const file of files.filter((name) => !name.includes('node_modules'))) {
      const names = (keepCase: boolean): string[] =>
        Object.entries(loadSync(join(folder, file), { keepCase, includeDirs: [folder] }))
          .filter(([name]) => !name.startsWith('google.protobuf.'))
          .flatMap(([, definition]) => ('type' in definition ? [definition.type] : []))
          .flatMap((type) => ((type as { field?: { name: string }[] }).field ?? []).map(({ name }) => name));
      expect(names(false).map(protoFieldName)).toEqual(names(true));
    }
  });
});
