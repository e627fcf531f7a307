import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { describe, expect, it } from 'vitest';
import { serverConfigSchema, type ServerConfig } from './server-config.js';

function parse(text: string): ServerConfig {
  return parseConfig('server.yaml', text, serverConfigSchema);
}

function problemsOf(text: string): string {
  try {
    parse(text);
    return 'none';
  } catch (error) {
    return errorMessage(error);
  }
}

describe('the configuration of the server', () => {
  it('needs nothing but a trust domain, and has the defaults of SPIRE', () => {
    expect(parse('server: { trust_domain: example.org }')).toEqual({
      access: { roles: [] },
      audit: { enabled: true, on_failure: 'stop' },
      health_checks: {
        listener_enabled: false,
        bind_address: 'localhost',
        bind_port: 80,
        live_path: '/live',
        ready_path: '/ready',
      },
      server: {
        trust_domain: 'example.org',
        bind_address: '0.0.0.0',
        bind_port: 8081,
        socket_path: '/tmp/spire-server/private/api.sock',
        data_dir: './.data',
        log_level: 'info',
        log_format: 'text',
        ca_ttl: 86_400,
        ca_key_type: 'ec-p256',
        default_x509_svid_ttl: 3600,
        default_jwt_svid_ttl: 300,
        admin_ids: [],
        ratelimit: {
          attestation: true,
          signing: true,
          attestation_per_second: 1,
          signing_per_second: 500,
          status_per_second: 10,
        },
        trusted_proxies: [],
        experimental: { signing_threads: 'auto' },
        drain_spread: 5,
        explain_to_agents: 'reasons',
        prune_attested_nodes_batch_size: 1000,
        prune_tofu_nodes: false,
        max_connections: 15_000,
        node_admission: { approval_required: [], approvals: 1, expires_after: 86_400, denied_for: 86_400 },
        federation: { federates_with: {} },
      },
      plugins: {
        KeyManager: {},
        NodeAttestor: { join_token: {} },
        UpstreamAuthority: {},
        BundlePublisher: {},
      },
      telemetry: {},
    });
  });

  it('reads what SPIRE would write', () => {
    const { server, plugins } = parse(`
server:
  trust_domain: spiffe://example.org
  log_level: WARN
  ca_ttl: 168h
  agent_ttl: 1h30m
  jwt_issuer: https://oidc.example.org/tenant
  ca_subject: { country: [US], organization: [SPIFFE], common_name: "" }
  admin_ids: [spiffe://other.test/admin]
  ratelimit: { attestation: false }
  trusted_proxies: [10.0.0.0/8, 2001:db8::1]
plugins:
  KeyManager: { memory: {} }
  DataStore: { sql: { database_type: sqlite3, connection_string: /data/store.sqlite3 } }
  NodeAttestor: { join_token: {} }
`);
    expect(server).toMatchObject({
      trust_domain: 'example.org',
      log_level: 'warn',
      ca_ttl: 604_800,
      agent_ttl: 5400,
      jwt_issuer: 'https://oidc.example.org/tenant',
      admin_ids: ['spiffe://other.test/admin'],
      ratelimit: { attestation: false, signing: true },
      trusted_proxies: ['10.0.0.0/8', '2001:db8::1'],
    });
    expect(plugins.KeyManager).toEqual({ memory: {} });
  });

  it.each([
    ['', 'server'],
    ['server: {}', 'trust_domain'],
    ['server: { trust_domain: Example.org }', "trust domain has 'E' at position 0"],
    ['server: { trust_domain: a, bind_prot: 1 }', 'bind_prot'],
    ['server: { trust_domain: a, bind_port: 65536 }', 'server.bind_port'],
    ['server: { trust_domain: a, ca_ttl: 1 day }', 'is not a duration'],
    ['server: { trust_domain: a, ca_ttl: -1h }', 'is not a positive duration'],
    ['server: { trust_domain: a, default_x509_svid_ttl: 10ms }', 'server.default_x509_svid_ttl'],
    ['server: { trust_domain: a, ca_key_type: dsa }', 'server.ca_key_type'],
    ['server: { trust_domain: a, default_jwt_svid_ttl: 0s }', 'server.default_jwt_svid_ttl'],
    ['server: { trust_domain: a, jwt_issuer: "" }', 'server.jwt_issuer'],
    ['server: { trust_domain: a, jwt_issuer: "https://" }', 'has a colon and is not a URI'],
    ['server: { trust_domain: a, log_level: loud }', 'expected DEBUG, INFO, WARN or ERROR'],
    ['server: { trust_domain: a, admin_ids: [admin] }', 'SPIFFE ID must start with spiffe://'],
    ['server: { trust_domain: a, trusted_proxies: [10.0.0.0/33] }', 'neither an IP address nor a range'],
    ['server: { trust_domain: a, trusted_proxies: [proxy] }', 'neither an IP address nor a range'],
    ['server: { trust_domain: a, ratelimit: { signing_per_second: 0 } }', 'signing_per_second'],
    [
      '{ server: { trust_domain: a }, plugins: { KeyManager: { disk: {}, memory: {} } } }',
      'names two key managers',
    ],
    ['{ server: { trust_domain: a }, plugins: { KeyManager: { aws_kms: {} } } }', 'aws_kms'],
    [
      '{ server: { trust_domain: a }, plugins: { DataStore: { sql: { database_type: mysql } } } }',
      'database_type',
    ],
    ['{ server: { trust_domain: a }, plugins: { NodeAttestor: { tpm_devid: {} } } }', 'tpm_devid'],
  ])('refuses %s', (text, problem) => {
    expect(problemsOf(text)).toContain(problem);
  });

  it('tells every problem at once, with its place', () => {
    const problems = problemsOf('server:\n  trust_domain: "?"\n  bind_port: 99999\n  nonsense: 1\n');
    expect(problems).toContain('server.yaml has 3 problems');
    expect(problems).toContain('server.yaml:2:17: server.trust_domain');
    expect(problems).toContain('server.yaml:3:14: server.bind_port');
    expect(problems).toContain('nonsense');
  });
});
