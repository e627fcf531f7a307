import { parseConfig } from '@bonafide/shared/config/load-config';
import { expect, it } from 'vitest';
import { configuredRelationships } from './federation-config.js';
import { serverConfigSchema } from './server-config.js';

const parse = (federation: string) =>
  parseConfig(
    'server.yaml',
    `server:\n  trust_domain: example.org\n  federation:\n${federation.replace(/^/gm, '    ')}`,
    serverConfigSchema,
  ).server.federation;

it('reads both halves, in the shape that the HCL of SPIRE has as JSON', () => {
  const config = parse(`
bundle_endpoint:
  port: 8443
  profile: { https_web: { serving_cert_file: { cert_file_path: a, key_file_path: b } } }
federates_with:
  one.test:
    bundle_endpoint_url: https://1.2.3.4:8443
    bundle_endpoint_profile: { https_web: {} }
  two.test:
    bundle_endpoint_url: https://5.6.7.8:8443
    bundle_endpoint_profile: { https_spiffe: { endpoint_spiffe_id: spiffe://two.test/beserver } }
`);
  expect(config.bundle_endpoint).toEqual({
    address: '0.0.0.0',
    port: 8443,
    refresh_hint: 300,
    profile: {
      https_web: {
        serving_cert_file: { cert_file_path: 'a', key_file_path: 'b', file_sync_interval: 3600 },
      },
    },
  });
  expect(configuredRelationships(config)).toEqual([
    { trustDomain: 'one.test', endpoint: { url: 'https://1.2.3.4:8443', profile: { kind: 'https_web' } } },
    {
      trustDomain: 'two.test',
      endpoint: {
        url: 'https://5.6.7.8:8443',
        profile: { kind: 'https_spiffe', endpointId: 'spiffe://two.test/beserver' },
      },
    },
  ]);
});

const relationship = (name: string, profile: string, url = 'https://a.test'): string =>
  `federates_with: { ${name}: { bundle_endpoint_url: "${url}", bundle_endpoint_profile: ${profile} } }`;

it.each([
  [
    'its own trust domain',
    relationship('example.org', '{ https_web: {} }'),
    'names the trust domain of this server',
  ],
  ['a bad name', relationship('"Bad"', '{ https_web: {} }'), 'trust domain has'],
  ['a SPIFFE ID', relationship('"spiffe://a.test"', '{ https_web: {} }'), 'trust domain has'],
  ['a plain URL', relationship('a.test', '{ https_web: {} }', 'http://a.test'), 'must use the https scheme'],
  ['no profile', relationship('a.test', '{}'), 'needs one of https_web and https_spiffe'],
  [
    'two profiles',
    relationship('a.test', '{ https_web: {}, https_spiffe: { endpoint_spiffe_id: "spiffe://a.test/x" } }'),
    'needs one of https_web and https_spiffe',
  ],
  ['no endpoint ID', relationship('a.test', '{ https_spiffe: {} }'), 'endpoint_spiffe_id'],
  ['no port', 'bundle_endpoint: { profile: { https_spiffe: {} } }', 'port'],
  [
    'no certificate',
    'bundle_endpoint: { port: 1, profile: { https_web: {} } }',
    'needs one of serving_cert_file',
  ],
  [
    'terms that are not accepted',
    'bundle_endpoint: { port: 1, profile: { https_web: { acme: { domain_name: a.test, email: a@a.test } } } }',
    'accept the terms of service',
  ],
  [
    'a port where a name is wanted',
    'bundle_endpoint: { port: 1, profile: { https_web: { acme: { domain_name: "a.test:443", email: a@a.test, tos_accepted: true } } } }',
    'is no domain name',
  ],
  [
    'an email address that is none',
    'bundle_endpoint: { port: 1, profile: { https_web: { acme: { domain_name: a.test, email: ops, tos_accepted: true } } } }',
    'is no email address',
  ],
  [
    'an ACME authority without TLS',
    'bundle_endpoint: { port: 1, profile: { https_web: { acme: { domain_name: a.test, email: a@a.test, tos_accepted: true, directory_url: "http://a.test" } } } }',
    'is no https URL',
  ],
  ['an unknown key', 'bundle_endpoints: {}', 'bundle_endpoints'],
])('refuses %s', (_name, federation, message) => {
  expect(() => parse(federation)).toThrow(message);
});
