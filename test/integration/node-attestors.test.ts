import { createServer } from 'node:http';
import { Socket } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { createNodeAttestor, nodeAttestorSchema } from '@bonafide/agent/node-attestation/attestors';
import type { NodeAttestor as AgentHalf } from '@bonafide/agent/node-attestation/node-attestor';
import { createGcpIit, gcpIit } from '@bonafide/server/node-attestation/gcp-iit/gcp-iit';
import {
  createHttpChallenge,
  httpChallenge,
} from '@bonafide/server/node-attestation/http-challenge/http-challenge';
import { createK8sPsat, k8sPsat } from '@bonafide/server/node-attestation/k8s-psat/k8s-psat';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { findFreePort } from '@bonafide/testing/free-port';
import { GoogleCloud } from '@bonafide/testing/google-cloud';
import { KubernetesApiServer } from '@bonafide/testing/kubernetes-api-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { pairAttestors } from './pair-attestors.js';

const host = {
  trustDomain: parseTrustDomain('example.org'),
  clock: systemClock,
  log: createLogger({ level: 'fatal', format: 'json' }),
  signal: new AbortController().signal,
};

function agent(config: object): AgentHalf {
  return createNodeAttestor(nodeAttestorSchema.parse(config), { ...host, joinToken: undefined });
}

describe('http_challenge, both halves', () => {
  const path = '/.well-known/spiffe/nodeattestor/http_challenge/default/challenge';

  function server(config: object = {}): ReturnType<typeof createHttpChallenge> {
    const all = httpChallenge.configSchema.parse({ allowed_networks: ['127.0.0.0/8'], ...config });
    const resolve = (): Promise<{ address: string; family: number }[]> =>
      Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
    return createHttpChallenge(all, host, { resolve });
  }

  it('attests on any free port, and the page is gone when it is over', async () => {
    const port = await findFreePort();
    for (let turn = 0; turn < 2; turn += 1) {
      const half = agent({ http_challenge: { hostname: 'Node-1.example.org', port } });
      expect(await pairAttestors(half, server({ required_port: port }))).toMatchObject({
        agentId: 'spiffe://example.org/spire/agent/http_challenge/node-1.example.org',
      });
      await expect(fetch(`http://127.0.0.1:${port}${path}`)).rejects.toThrow();
    }
    await expect(
      pairAttestors(agent({ http_challenge: { hostname: 'n.example' } }), server()),
    ).resolves.toBeDefined();
  });

  it('attests behind another web server, which has the port that the server knows', async () => {
    const port = await findFreePort();
    const proxy = createServer((request, response) => {
      void fetch(`http://127.0.0.1:${port}${request.url ?? ''}`).then(async (answer) => {
        response.writeHead(answer.status).end(await answer.text());
      });
    });
    const proxyPort = await findFreePort();
    await new Promise<void>((resolve) => proxy.listen(proxyPort, '127.0.0.1', resolve));
    const config = { hostname: 'n.example', agentname: 'blue', port, advertised_port: proxyPort };
    await expect(
      pairAttestors(agent({ http_challenge: config }), server({ required_port: proxyPort })),
    ).resolves.toBeDefined();
    await new Promise((resolve) => proxy.close(resolve));
  });

  it('shows the nonce on its path alone, and ends with those who hold a connection', async () => {
    const port = await findFreePort();
    const half = agent({ http_challenge: { hostname: 'n.example', port } });
    const seen: number[] = [];
    const idle = new Socket();
    idle.on('error', () => undefined);
    await half.attest({
      csrHash: Buffer.alloc(32),
      async send(data) {
        if (data.toString() === '\n') {
          idle.connect(port, '127.0.0.1');
          for (const target of [path, `${path}/x`, '/', path.replace('default', 'other'), `${path}?x`]) {
            seen.push((await fetch(`http://127.0.0.1:${port}${target}`)).status);
          }
          seen.push((await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST' })).status);
          return undefined;
        }
        seen.push((await fetch(`http://127.0.0.1:${port}${path}`)).status);
        return Buffer.from(JSON.stringify({ nonce: 'A'.repeat(44) }));
      },
    });
    expect(seen).toEqual([404, 200, 404, 404, 404, 404, 404]);
    idle.destroy();
  });

  it.each([
    '{}',
    '{"nonce":""}',
    '{"nonce":"<script>alert(1)</script>"}',
    `{"nonce":"${'A'.repeat(100)}"}`,
    'x',
  ])('shows nothing that a server makes up (%s)', async (challenge) => {
    const half = agent({ http_challenge: { hostname: 'n.example' } });
    const send = (): Promise<Buffer> => Promise.resolve(Buffer.from(challenge));
    await expect(half.attest({ csrHash: Buffer.alloc(32), send })).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
  });

  it('says which port it cannot have', async () => {
    const taken = createServer();
    const port = await findFreePort();
    await new Promise<void>((resolve) => taken.listen(port, resolve));
    const half = agent({ http_challenge: { hostname: 'n.example', port } });
    await expect(pairAttestors(half, server())).rejects.toThrow(`could not listen on port ${port}`);
    await new Promise((resolve) => taken.close(resolve));
  });
});

describe('k8s_psat, both halves', () => {
  it('attests with the token that is on disk now', async () => {
    await using api = await KubernetesApiServer.start();
    using directory = createTemporaryDirectory();
    await writeFile(directory.join('config'), api.kubeConfig());
    const node = api.addNode();
    const config = k8sPsat.configSchema.parse({
      clusters: {
        c1: { service_account_allow_list: ['spire:spire-agent'], kube_config_file: directory.join('config') },
      },
    });
    const server = createK8sPsat(config, host);
    const half = agent({ k8s_psat: { cluster: 'c1', token_path: directory.join('token') } });
    await expect(pairAttestors(half, server)).rejects.toThrow(/cannot read the token at token_path/);
    await writeFile(directory.join('token'), ' \n');
    await expect(pairAttestors(half, server)).rejects.toThrow(/is empty/);
    await writeFile(directory.join('token'), 'stale');
    await expect(pairAttestors(half, server)).rejects.toMatchObject({ reason: 'permission_denied' });
    await writeFile(directory.join('token'), `${api.issueToken({ pod: api.addPod() })}\n`);
    expect(await pairAttestors(half, server)).toMatchObject({
      agentId: `spiffe://example.org/spire/agent/k8s_psat/c1/${node.uid}`,
    });
  });
});

describe('gcp_iit, both halves', () => {
  it('attests with the token that the metadata service makes for our audience', async () => {
    await using google = await GoogleCloud.start();
    const config = gcpIit.configSchema.parse({ projectid_allow_list: ['project-123'] });
    const server = createGcpIit(config, host, {
      keysUrl: google.keysUrl,
      tls: { ca: google.ca },
      environment: {},
    });
    const half = agent({ gcp_iit: { identity_token_host: google.metadataHost } });
    expect(await pairAttestors(half, server)).toMatchObject({
      agentId: 'spiffe://example.org/spire/agent/gcp_iit/project-123/152986662232938449',
    });
    const [asked] = google.requests;
    expect(asked).toBe(
      'GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=spire-gcp-node-attestor&format=full',
    );

    const other = agent({ gcp_iit: { identity_token_host: google.metadataHost, service_account: 'a@b.c' } });
    await expect(pairAttestors(other, server)).rejects.toThrow(/status 404/);
    google.lie = (_request, response) => response.end('<html>');
    await expect(pairAttestors(half, server)).rejects.toThrow(/something else than a token/);
    google.lie = (_request, response) => response.end('x'.repeat(100_000));
    await expect(pairAttestors(half, server)).rejects.toMatchObject({ reason: 'unavailable' });
  });

  it.each(['a b', 'user@host', 'host/path', 'host?x', ''])('refuses the metadata host %j', (text) => {
    expect(() => agent({ gcp_iit: { identity_token_host: text } })).toThrow();
  });
});
