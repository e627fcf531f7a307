import { describe, expect, it } from 'vitest';
import { AGENT, expectSameAfterConversion, load, SERVER } from './spire-config-kinds.js';

const SERVER_CONF = `
server {
  bind_port = "8443"              # SPIRE takes numbers in quotes
  trust_domain = "example.org"
  log_level = "debug"
  log_format = "JSON"
  jwt_issuer = ""
  profiling_enabled = true
  experimental { events_based_cache = true }
  ca_subject { country = ["DE"], common_name = "" }
  federation {
    bundle_endpoint { address = "0.0.0.0" port = 8444 }
    federates_with "spiffe://a.example" {
      bundle_endpoint_url = "https://a.example/bundle"
      bundle_endpoint_profile "https_web" {}
    }
    federates_with "b.example" {
      bundle_endpoint_url = "https://b.example/bundle"
      bundle_endpoint_profile "https_spiffe" { endpoint_spiffe_id = "spiffe://b.example/server" }
    }
  }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "/tmp/a.sqlite3" } }
  KeyManager "memory" { plugin_data = {} }
  NodeAttestor "join_token" {}
  NodeAttestor "nobody_knows" { enabled = false }
  NodeAttestor "k8s_psat" {
    plugin_data { clusters = { "one" = { service_account_allow_list = ["spire:agent"] } } }
  }
  BundlePublisher "k8s_configmap" {
    plugin_data {
      clusters = {
        "one" = {
          namespace = "spire" configmap_name = "bundle" configmap_key = "bundle.crt" format = "pem"
          kubeconfig_path = "" refresh_hint = "10m"
        }
      }
    }
  }
}
telemetry { Prometheus { host = "localhost" port = 9988 } DogStatsd = [{ address = "localhost:8125" }] }
`;

const AGENT_CONF = `
agent {
  data_dir = "./.data" log_level = "DEBUG" server_address = "127.0.0.1" server_port = "8081"
  trust_bundle_path = "./root.pem" trust_domain = "example.org" disable_sds_api = true
  log_selectors = ["unix:uid"]
  experimental {
    sync_interval = "5s"
    broker { socket_path = "/run/b/b.sock" brokers = [{ id = "spiffe://example.org/b", allowed_reference_types = [{ type_url = "*" }] }] }
  }
}
plugins {
  NodeAttestor "x509pop" { plugin_data { private_key_path = "a.key" certificate_path = "a.pem" } }
  KeyManager "disk" { plugin_data { directory = "./.data" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;

describe('configuration of SPIRE', () => {
  it('is read by the server, with one warning of what has no meaning', async () => {
    const warnings: string[] = [];
    const config = await load(SERVER_CONF, SERVER, (text) => warnings.push(text));
    expect(config).toMatchObject({
      server: {
        bind_port: 8443,
        log_level: 'debug',
        log_format: 'json',
        federation: { bundle_endpoint: { port: 8444, profile: { https_spiffe: {} } } },
      },
      plugins: {
        DataStore: { sql: { connection_string: '/tmp/a.sqlite3' } },
        NodeAttestor: { join_token: {}, k8s_psat: { clusters: expect.anything() as unknown } },
        BundlePublisher: {
          k8s_configmap: {
            clusters: {
              one: {
                namespace: 'spire',
                configmap_name: 'bundle',
                configmap_key: 'bundle.crt',
                format: 'pem',
              },
            },
          },
        },
      },
      telemetry: { Prometheus: { port: 9988 } },
    });
    const { federates_with: relationships } = (
      config as { server: { federation: { federates_with: Record<string, unknown> } } }
    ).server.federation;
    expect(Object.keys(relationships)).toEqual(['a.example', 'b.example']);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/k8s_configmap\.plugin_data\.clusters\.one\.refresh_hint \(line \d+: /);
    expect(warnings[0]).toMatch(/profiling_enabled \(line 8: .*events_based_cache \(line 9: .*DogStatsd/s);
  });

  it('is read by the agent', async () => {
    expect(await load(AGENT_CONF, AGENT)).toMatchObject({
      agent: {
        servers: [{ host: '127.0.0.1', port: 8081 }],
        apis: { sds: false, x509: true },
        log_selectors: 'redacted',
      },
      plugins: { NodeAttestor: { x509pop: { private_key_path: 'a.key' } } },
    });
  });

  it('is read in its JSON form', async () => {
    const json = JSON.stringify({
      server: [{ trust_domain: 'example.org', bind_port: '8081' }],
      plugins: [
        {
          NodeAttestor: [{ join_token: [{ plugin_data: [{}] }] }],
          KeyManager: { memory: { plugin_data: {} } },
        },
      ],
    });
    expect(await load(json, SERVER)).toMatchObject({
      server: { bind_port: 8081 },
      plugins: { KeyManager: { memory: {} }, NodeAttestor: { join_token: {} } },
    });
  });

  it.each([
    [
      'server',
      'server {\n  trust_domian = "a"\n}',
      /spire\.conf:2:3: server\.trust_domian: unknown key; did you mean trust_domain\?/,
    ],
    [
      'server',
      'server { trust_domain = "a" }\nplugins { KeyManager "aws_kms" {} }',
      /:2:22: plugins\.KeyManager\.aws_kms: keys in a cloud/,
    ],
    [
      'server',
      'server { trust_domain = "a" }\nplugins {\n NodeAttestor "x" {\n  plugin_cmd = "/x"\n } }',
      /:4:3: .*is a program of its own/,
    ],
    [
      'server',
      'server { trust_domain = "a"\n trust_domain = "b" }',
      /:2:2: server\.trust_domain: this key is there twice .* in line 1/,
    ],
    [
      'server',
      'server { trust_domain = "a"\n bind_port = "x" }',
      /:2:2: server\.bind_port: expected a number, found "x"/,
    ],
    [
      'server',
      'server { trust_domain = "a"\n experimental { require_pq_kem = true } }',
      /:2:17: server\.experimental\.require_pq_kem: post-quantum/,
    ],
    [
      'server',
      'server { trust_domain = "a" }\nplugins { NodeAttestor "x509pop" { plugin_dat {} } }',
      /did you mean plugin_data\?/,
    ],
    [
      'server',
      'server { trust_domain = "a" }\nplugins { NodeAttestor "join_token" {}\n NodeAttestor "join_token" {} }',
      /:3:15: .*this plugin is there twice/,
    ],
    ['server', 'server = 1', /:1:10: server: expected a group of keys/],
    [
      'server',
      'plugins { Notifier "k8sbundle" { plugin_data {} } }\nserver { trust_domain = "a" }',
      /plugins of kind BundlePublisher/,
    ],
    [
      'agent',
      'agent { trust_bundle_unix_socket = "/x" }',
      /:1:9: agent\.trust_bundle_unix_socket: bundles are not fetched/,
    ],
  ])('of %s %j is refused with its line', async (name, text, expected) => {
    await expect(load(text, name === 'server' ? SERVER : AGENT)).rejects.toThrow(expected);
  });

  it('loads to the same after it was converted', async () => {
    await expectSameAfterConversion(SERVER_CONF, SERVER);
    await expectSameAfterConversion(AGENT_CONF, AGENT);
  });
});
