import { parseConfig } from '@bonafide/shared/config/load-config';
import { describe, expect, it } from 'vitest';
import { agentConfigSchema } from './agent-config.js';

const LEAST = {
  trust_domain: 'example.org',
  server_address: 'server',
  server_port: 8081,
  trust_bundle_path: 'b.pem',
};

function parse(agent: object, plugins?: object): ReturnType<typeof agentConfigSchema.parse> {
  return parseConfig('agent.json', JSON.stringify({ agent, ...(plugins && { plugins }) }), agentConfigSchema);
}

describe('agentConfigSchema', () => {
  it('fills in what is not said', () => {
    const { agent, plugins } = parse(LEAST);
    expect(agent).toMatchObject({
      socket_path: '/tmp/spire-agent/public/api.sock',
      data_dir: '.',
      trust_bundle_format: 'pem',
      insecure_bootstrap: false,
      log_level: 'info',
      log_format: 'text',
      workload_x509_svid_key_type: 'ec-p256',
      x509_svid_cache_max_size: 1000,
    });
    expect(plugins).toMatchObject({
      NodeAttestor: { join_token: {} },
      KeyManager: { disk: {} },
      WorkloadAttestor: { unix: { discover_workload_path: false } },
    });
  });

  it('takes what SPIRE’s agents take', () => {
    const { agent } = parse({
      ...LEAST,
      trust_domain: 'spiffe://example.org',
      log_level: 'WARNING',
      availability_target: '36h',
      join_token: 'abc',
      limits: { max_connections: 5 },
    });
    expect(agent).toMatchObject({
      trust_domain: 'example.org',
      log_level: 'warn',
      availability_target: 36 * 3600,
    });
  });

  it('takes one server as SPIRE’s agents do, or the addresses of several', () => {
    const none = { server_address: undefined, server_port: undefined };
    expect(parse(LEAST).agent.servers).toEqual([{ host: 'server', port: 8081 }]);
    const { agent } = parse({ ...LEAST, ...none, server_addresses: ['a:1', '[::1]:2'] });
    expect(agent.servers).toEqual([
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ]);
  });

  it.each([
    [{ server_addresses: ['a:1'] }, /server_address.*cannot be set together with server_addresses/],
    [{ server_addresses: ['a'] }, /server_addresses.*expected host:port/],
    [{ server_port: undefined }, /server_port.*is missing; expected it, or server_addresses/],
    [{ trust_bundle_path: undefined }, /trust_bundle_path, trust_bundle_url or insecure_bootstrap/],
    [{ insecure_bootstrap: true }, /insecure_bootstrap.*cannot be set together with trust_bundle_path/],
    [{ trust_bundle_url: 'https://x/b' }, /trust_bundle_url.*together with trust_bundle_path/],
    [{ trust_bundle_path: undefined, trust_bundle_url: 'http://x/b' }, /no https:\/\/ URL/],
    [{ trust_bundle_format: 'der' }, /trust_bundle_format.*"pem".*"spiffe"/],
    [{ join_token: 'a', join_token_file: 'b' }, /join_token_file.*together with join_token/],
    [{ availability_target: '23h' }, /availability_target.*at least 24h/],
    [{ server_port: 0 }, /server_port.*at least 1/],
    [{ server_address: undefined }, /server_address.*is missing/],
    [{ trust_domain: 'Example.org' }, /trust_domain.*lower-case/],
    [{ workload_x509_svid_key_type: 'dsa' }, /workload_x509_svid_key_type/],
    [{ x509_svid_cache_max_size: -1 }, /x509_svid_cache_max_size/],
    [{ log_level: 'LOUD' }, /log_level.*DEBUG/],
    [{ server_adress: 'x' }, /server_adress.*did you mean server_address/],
  ])('refuses %j and says what would do', (more, message) => {
    expect(() => parse({ ...LEAST, ...more })).toThrow(message);
  });

  it('refuses two key managers, and attestors that are not there', () => {
    expect(() => parse(LEAST, { KeyManager: { disk: {}, memory: {} } })).toThrow(/two key managers/);
    expect(() => parse(LEAST, { NodeAttestor: { azure_msi: {} } })).toThrow(/azure_msi/);
    expect(() => parse(LEAST, { WorkloadAttestor: { nomad: {} } })).toThrow(/nomad/);
  });

  it.each([
    ['/run/store', true],
    ['/run/store/web', true],
    ['/run/store/../store/a/b', true],
    ['/run/stores', false],
    ['/run', false],
  ])(
    'keeps the folders of helpers out of the SVID store, which would clear them away: %s',
    (path, isInside) => {
      const helpers = [{ cert_dir: path, spiffe_id: 'spiffe://example.org/web' }];
      const read = (): unknown =>
        parse({ ...LEAST, helpers }, { SVIDStore: { directory: { directory: '/run/store/' } } });
      if (isInside) expect(read).toThrow("the SVID store's own");
      else expect(read).not.toThrow();
    },
  );
});
