import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { formatPodList, Kubelet, type KubeletFault } from '@bonafide/testing/kubelet';
import { kubeletPod } from '@bonafide/testing/kubelet-pod';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { k8sConfigSchema } from './k8s-config.js';
import { KubeletClient } from './kubelet-client.js';

const never = new AbortController().signal;
let directory: TemporaryDirectory;
let kubelet: Kubelet;
let clock: FakeClock;

beforeEach(async () => {
  directory = createTemporaryDirectory();
  kubelet = await Kubelet.start();
  kubelet.pods.push(kubeletPod({ name: 'web-1' }));
  clock = new FakeClock();
  writeFileSync(directory.join('ca.pem'), kubelet.ca);
  writeFileSync(directory.join('token'), 'token-of-the-agent\n');
});
afterEach(async () => {
  await kubelet[Symbol.asyncDispose]();
  directory.remove();
});

function client(config: object = {}, limitMs?: number): KubeletClient {
  const {
    kubelet: endpoint,
    nodeName,
    reloadIntervalMs,
  } = k8sConfigSchema.parse({
    ...{ kubelet_secure_port: kubelet.port, kubelet_ca_path: directory.join('ca.pem') },
    ...{ token_path: directory.join('token'), ...config },
  });
  return new KubeletClient({ endpoint, nodeName, reloadIntervalMs, clock, limitMs });
}

async function names(of: KubeletClient): Promise<readonly string[]> {
  return (await of.listPods(never)).pods.map(({ name }) => name);
}

async function writeCredentials(): Promise<void> {
  const { certificate, privateKey } = await kubelet.issueCredentials();
  writeFileSync(directory.join('cert.pem'), certificate);
  writeFileSync(directory.join('key.pem'), privateKey);
}

describe('asking the kubelet', () => {
  it('is done by token, by certificate or by nothing', async () => {
    await writeCredentials();
    const files = {
      certificate_path: directory.join('cert.pem'),
      private_key_path: directory.join('key.pem'),
    };
    expect(await names(client())).toEqual(['web-1']);
    expect(await names(client(files))).toEqual(['web-1']);
    kubelet.allowsAnonymous = true;
    expect(await names(client({ use_anonymous_authentication: true, token_path: undefined }))).toEqual([
      'web-1',
    ]);
    expect(kubelet.requests).toEqual([
      'GET /pods by token-of-the-agent',
      'GET /pods by certificate',
      'GET /pods by anonymous',
    ]);
  });

  it('is done in the clear at the read-only port', async () => {
    await using open = await Kubelet.start({ isReadOnlyPort: true });
    open.pods.push(kubeletPod({ name: 'open' }));
    const config = { kubelet_read_only_port: open.port, kubelet_secure_port: undefined };
    expect(await names(client(config))).toEqual(['open']);
  });

  it('asks only one whose certificate is by the CA, and of the name when the node has one', async () => {
    await using stranger = await Kubelet.start();
    const elsewhere = { kubelet_secure_port: stranger.port };
    await expect(names(client(elsewhere))).rejects.toMatchObject({ reason: 'unavailable' });
    expect(stranger.requests).toEqual([]);
    expect(await names(client({ node_name: 'localhost' }))).toEqual(['web-1']);
    await using other = await Kubelet.start({ nodeName: 'node-2' });
    writeFileSync(directory.join('other.pem'), other.ca);
    const named = { kubelet_secure_port: other.port, kubelet_ca_path: directory.join('other.pem') };
    await expect(names(client({ ...named, node_name: 'localhost' }))).rejects.toThrow(
      "not in the cert's altnames",
    );
    expect(other.requests).toEqual([]);
    // Without a name only the CA counts, and with skip_kubelet_verification nothing does.
    expect(await names(client({ ...named }))).toEqual([]);
  });

  it('believes whoever answers when it is told not to verify', async () => {
    const config = { skip_kubelet_verification: true, kubelet_ca_path: '/nowhere', node_name: 'localhost' };
    expect(await names(client(config))).toEqual(['web-1']);
  });

  it('reads a replaced token after the interval, and at once when the old one does not work', async () => {
    const asked = client({ reload_interval: '10s' });
    await asked.listPods(never);
    kubelet.tokens.add('second');
    writeFileSync(directory.join('token'), 'second');
    await asked.listPods(never);
    await clock.advance(10_000);
    await asked.listPods(never);
    kubelet.tokens.clear();
    kubelet.tokens.add('third');
    writeFileSync(directory.join('token'), 'third');
    await expect(asked.listPods(never)).rejects.toMatchObject({ reason: 'failed_precondition' });
    await asked.listPods(never);
    expect(kubelet.requests.map((line) => line.slice('GET /pods by '.length))).toEqual([
      ...['token-of-the-agent', 'token-of-the-agent', 'second', 'nobody', 'third'],
    ]);
  });

  it('reads a replaced certificate, and none of which only half is there', async () => {
    await writeCredentials();
    const asked = client({
      ...{ certificate_path: directory.join('cert.pem'), private_key_path: directory.join('key.pem') },
      reload_interval: '1s',
    });
    await asked.listPods(never);
    const { certificate, privateKey } = await kubelet.issueCredentials();
    writeFileSync(directory.join('cert.pem'), certificate);
    await clock.advance(1_000);
    await expect(asked.listPods(never)).rejects.toMatchObject({ reason: 'unavailable' });
    writeFileSync(directory.join('key.pem'), privateKey);
    expect(await names(asked)).toEqual(['web-1']);
  });

  it.each([
    [{ token_path: '/nowhere/token' }, 'cannot read /nowhere/token'],
    [{ kubelet_ca_path: '/nowhere/ca.pem' }, 'cannot read /nowhere/ca.pem'],
    [{ kubelet_ca_path: '/dev/null' }, 'no certificate in /dev/null'],
    [{ token_path: '/dev/null' }, 'no bearer token in /dev/null'],
  ])('says which file is wrong: %j', async (config, message) => {
    await expect(names(client(config))).rejects.toThrow(message);
  });

  it('says which right is missing', async () => {
    kubelet.isForbidden = true;
    await expect(names(client())).rejects.toThrow(/status 403: Forbidden .*'get' on nodes\/proxy/);
    kubelet.isForbidden = false;
    kubelet.tokens.clear();
    await expect(names(client())).rejects.toThrow('status 401');
  });

  it.each<[string, KubeletFault, string, string]>([
    ['stalls', () => undefined, 'unavailable', 'no answer within 300 ms'],
    ['stalls in the middle', (_, response) => void response.write('{"items":['), 'unavailable', 'no answer'],
    ['dies', (request) => request.socket.destroy(), 'unavailable', 'cannot reach'],
    [
      'dies in the middle',
      (_, response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"items":[]}', () => response.destroy());
      },
      'unavailable',
      'cannot reach',
    ],
    [
      'fails',
      (_, response) => void response.writeHead(500).end('etcd\nis down'),
      'unavailable',
      '500: etcd is down',
    ],
    [
      'redirects',
      (_, response) => void response.writeHead(302, { location: 'https://elsewhere/' }).end(),
      'unavailable',
      '302',
    ],
    [
      'answers garbage',
      (_, response) => void response.end('<html>'),
      'internal',
      'something else than a list',
    ],
    ['answers nothing', (_, response) => void response.end(), 'internal', 'something else than a list'],
  ])('is over soon when it %s', async (_, fault, reason, message) => {
    kubelet.fault = fault;
    const answer = client({}, 300).listPods(never);
    await expect(answer).rejects.toMatchObject({
      reason,
      message: expect.stringContaining(message) as string,
    });
  });

  it('takes no answer without end', async () => {
    const megabyte = Buffer.alloc(1024 * 1024, ' ');
    let sent = 0;
    kubelet.fault = (_, response) => {
      const send = (): void => {
        while (!response.destroyed && sent < 512 && response.write(megabyte)) sent += 1;
      };
      response.on('drain', send);
      send();
    };
    await expect(client({}, 30_000).listPods(never)).rejects.toThrow('longer than');
    expect(sent).toBeLessThan(200);
  });

  it('reads the list of a full node', async () => {
    kubelet.pods.splice(
      0,
      1,
      ...Array.from({ length: 500 }, (_, index) => kubeletPod({ name: `pod-${index}` })),
    );
    expect(formatPodList(kubelet.pods).length).toBeGreaterThan(500_000);
    expect(await names(client())).toHaveLength(500);
  });
});
