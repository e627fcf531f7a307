import { parseConfig } from '@bonafide/shared/config/load-config';
import { describe, expect, it } from 'vitest';
import { oidcConfigSchema, type OidcConfig } from './oidc-config.js';

function parse(config: object): OidcConfig {
  return parseConfig('oidc.json', JSON.stringify(config), oidcConfigSchema);
}

const LEAST = {
  domains: ['oidc.example.org'],
  insecure_addr: ':8080',
  server_api: { address: 'unix:///run/server/api.sock' },
};

describe('the configuration of bonafide-oidc', () => {
  it('needs domains, a listener and a source, and has the defaults of SPIRE for the rest', () => {
    expect(parse({ ...LEAST, health_checks: {} })).toMatchObject({
      insecure_addr: { host: undefined, port: 8080 },
      server_api: { address: '/run/server/api.sock', poll_interval: 10 },
      health_checks: { bind_port: 8008, ready_path: '/ready', live_path: '/live' },
      log_level: 'info',
      set_key_use: false,
      server_path_prefix: '/',
    });
  });

  it('has ACME by default at port 443 with its cache beside', () => {
    const acme = { email: 'ops@example.org', tos_accepted: true };
    const { acme: parsed } = parse({ ...LEAST, insecure_addr: undefined, acme });
    expect(parsed).toMatchObject({ cache_dir: './.acme-cache', addr: { host: undefined, port: 443 } });
    expect(parsed?.directory_url.href).toBe('https://acme-v02.api.letsencrypt.org/directory');
  });

  it.each([
    [{ domains: [] }, 'domains'],
    [{ domains: ['Example.org'] }, 'expected lower case'],
    [{ domains: ['example.org:443'] }, 'no port'],
    [{ domains: ['*'] }, 'no domain name'],
    [{ insecure_addr: undefined }, 'expected exactly one of acme, serving_cert_file'],
    [{ listen_socket_path: '/run/oidc.sock' }, 'listen_socket_path and insecure_addr are there'],
    [{ server_api: undefined }, 'expected exactly one of server_api, workload_api, file'],
    [{ file: { path: 'bundle.json' } }, 'server_api and file are there'],
    [{ server_api: { address: 'localhost:8081' } }, 'is no Unix socket'],
    [{ insecure_addr: '8080' }, 'is no address to listen on'],
    [{ insecure_addr: ':99999' }, 'is no address to listen on'],
    [{ jwt_issuer: 'oidc.example.org' }, 'is no absolute URL'],
    [{ jwks_uri: 'https://example.org/keys?x=1' }, 'has a query'],
    [{ server_path_prefix: 'instance' }, 'is no path of a URL'],
    [{ surprise: true }, 'surprise'],
    [{ insecure_addr: undefined, acme: { email: 'ops@example.org', tos_accepted: false } }, 'must be true'],
    [{ insecure_addr: undefined, acme: { tos_accepted: true } }, 'email'],
    [{ health_checks: { bind_port: '70000' } }, 'bind_port'],
  ])('refuses %j', (change, reason) => {
    expect(() => parse({ ...LEAST, ...change })).toThrow(reason);
  });

  it('tells all problems at once', () => {
    expect(() => parse({ ...LEAST, domains: ['A'], log_level: 'loud', surprise: 1 })).toThrow(/3 problems/);
  });
});
