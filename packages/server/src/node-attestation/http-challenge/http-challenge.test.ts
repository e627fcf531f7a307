import type { LookupAddress } from 'node:dns';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { ScriptedEndpoint, serveText } from '@bonafide/testing/scripted-endpoint';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeAttestor, ProvenNode } from '../node-attestor.js';
import { createHttpChallenge, httpChallenge } from './http-challenge.js';

const host = {
  trustDomain: parseTrustDomain('example.org'),
  clock: systemClock,
  signal: new AbortController().signal,
};
const LOCAL = ['127.0.0.0/8'];

let endpoint: ScriptedEndpoint;
/** What the server was asked to show. */
let nonce: string;
let lookups: string[];
let addresses: readonly LookupAddress[];

beforeEach(async () => {
  nonce = 'none yet';
  lookups = [];
  addresses = [{ address: '127.0.0.1', family: 4 }];
  endpoint = await ScriptedEndpoint.overTcp((socket, request) => {
    endpoint.requests.push(request);
    serveText(`${nonce}\n`)(socket, request);
  });
});

afterEach(async () => {
  await endpoint[Symbol.asyncDispose]();
});

function attestor(config: object = { allowed_networks: LOCAL }): NodeAttestor {
  const resolve = (hostname: string): Promise<readonly LookupAddress[]> => {
    lookups.push(hostname);
    return Promise.resolve(addresses);
  };
  return createHttpChallenge(httpChallenge.configSchema.parse(config), host, { resolve, limitMs: 1_000 });
}

function attest(evidence: object = {}, by: NodeAttestor = attestor()): Promise<ProvenNode> {
  const all = { hostname: 'p1.example.com', agentname: 'default', port: endpoint.port, ...evidence };
  return by.attest({
    payload: Buffer.from(JSON.stringify(all)),
    csrHash: Buffer.alloc(32),
    now: new Date(),
    challenge: (data) => {
      nonce = (JSON.parse(data.toString()) as { nonce: string }).nonce;
      return Promise.resolve(Buffer.from('\n'));
    },
    recall: () => Promise.resolve(undefined),
  });
}

describe('http_challenge', () => {
  it('proves the node that shows the nonce, with the ID and the selector that SPIRE gives it', async () => {
    expect(await attest()).toEqual({
      agentId: 'spiffe://example.org/spire/agent/http_challenge/p1.example.com',
      selectors: [{ type: 'http_challenge', value: 'hostname:p1.example.com' }],
      canReattest: false,
      isTrustedOnFirstUse: true,
    });
    expect(nonce).toMatch(/^[A-Za-z0-9_-]{43}=$/);
    expect(endpoint.requests[0]).toMatch(
      /^GET \/\.well-known\/spiffe\/nodeattestor\/http_challenge\/default\/challenge HTTP\/1\.1\r\n/,
    );
    expect(endpoint.requests[0]?.toLowerCase()).toContain(`host: p1.example.com:${endpoint.port}\r\n`);
    const before = nonce;
    await attest();
    expect(nonce).not.toBe(before);
  });

  it('knows one node by one name, however it spells it', async () => {
    const { agentId } = await attest({ hostname: 'P1.EXAMPLE.com' });
    expect(agentId).toBe('spiffe://example.org/spire/agent/http_challenge/p1.example.com');
    await expect(attest({ hostname: 'p1.example.com.' })).rejects.toThrow(/no domain name/);
  });

  it('attests again where only root can answer and trust on first use is off', async () => {
    const config = { tofu: false, allow_non_root_ports: false, allowed_networks: ['127.0.0.9'] };
    await expect(attest({}, attestor(config))).rejects.toThrow(/not allowed to be >= 1024/);
    // Below 1024 nothing listens here, and the address is another one.
    await expect(attest({ port: 80 }, attestor(config))).rejects.toThrow(/outside of allowed_networks/);
  });

  it.each([
    [{ tofu: false }],
    [{ tofu: false, allow_non_root_ports: true }],
    [{ tofu: false, required_port: 1024 }],
    [{ tofu: false, required_port: 8080, allow_non_root_ports: false }],
    [{ allowed_dns_patterns: ['p['] }],
    [{ allowed_networks: [] }],
    [{ allowed_networks: ['10.0.0.1/8'] }],
    [{ allowed_networks: ['everywhere'] }],
    [{ required_port: 0 }],
    [{ agent_path_template: '/x' }],
  ])('refuses the configuration %j', (config) => {
    expect(httpChallenge.configSchema.safeParse(config).success).toBe(false);
  });

  it.each([[{}], [{ tofu: false, required_port: 80 }], [{ tofu: false, allow_non_root_ports: false }]])(
    'takes the configuration %j',
    (config) => {
      expect(httpChallenge.configSchema.safeParse(config).success).toBe(true);
    },
  );

  it.each([
    { hostname: '127.0.0.1' },
    { hostname: '2130706433' },
    { hostname: '0177.1' },
    { hostname: '0x7f.1' },
    { hostname: '[::ffff:127.0.0.1]' },
    { hostname: '::1' },
    { hostname: 'localhost' },
    { hostname: 'user@p1.example.com' },
    { hostname: 'p1.example.com:80' },
    { hostname: 'p1.example.com/x' },
    { hostname: '' },
    { hostname: 7 },
    { agentname: '../../latest/meta-data' },
    { agentname: 'a/b' },
    { agentname: 'a?b' },
    { agentname: '' },
    { agentname: 'a'.repeat(33) },
    { port: 0 },
    { port: 65_536 },
    { port: -1 },
    { port: 80.5 },
    { port: '80' },
  ])('calls nobody for %j', async (evidence) => {
    await expect(attest(evidence)).rejects.toHaveProperty('reason');
    expect({ lookups, connections: endpoint.connections, nonce }).toEqual({
      ...{ lookups: [], connections: 0, nonce: 'none yet' },
    });
  });

  it.each([
    '',
    'null',
    '[]',
    '{}',
    '{"hostname":"a","hostname":"b","agentname":"c","port":1}',
    '{"hostname":',
  ])('refuses the evidence %j', async (text) => {
    const evidence = { payload: Buffer.from(text), csrHash: Buffer.alloc(32), now: new Date() };
    const challenge = (): Promise<Buffer> => Promise.reject(new Error('asked'));
    const attempt = attestor().attest({ ...evidence, challenge, recall: () => Promise.resolve(undefined) });
    await expect(attempt).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('calls only the port that is required', async () => {
    const config = { allowed_networks: LOCAL, required_port: endpoint.port };
    await expect(attest({ port: 22 }, attestor(config))).rejects.toThrow(/port 22 is not allowed/);
    await expect(attest({}, attestor(config))).resolves.toBeDefined();
  });

  it('calls only names that are allowed', async () => {
    const by = attestor({ allowed_networks: LOCAL, allowed_dns_patterns: ['p[0-9]\\.example\\.com'] });
    await expect(attest({}, by)).resolves.toBeDefined();
    const evil = attest({ hostname: 'p1.example.com.evil.org' }, by);
    await expect(evil).rejects.toMatchObject({ reason: 'permission_denied' });
    expect(endpoint.connections).toBe(1);
  });

  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254', '10.0.0.1', 'fe80::1%lo'])(
    'does not connect where a name leads to %s, unless that network is allowed',
    async (address) => {
      addresses = [{ address, family: 4 }];
      await expect(attest({}, attestor({}))).rejects.toMatchObject({ reason: 'permission_denied' });
      expect(endpoint.connections).toBe(0);
    },
  );

  it('does not connect to a name that leads to an allowed address and to another one', async () => {
    addresses = [
      { address: '127.0.0.1', family: 4 },
      { address: '169.254.169.254', family: 4 },
    ];
    await expect(attest()).rejects.toThrow(/an address that no node has/);
    expect(endpoint.connections).toBe(0);
  });
});
