import { describe, expect, it } from 'vitest';
import { k8sConfigSchema } from './k8s-config.js';
import { loadKubeletAccess, resolveNodeName } from './kubelet-access.js';

const CREDENTIALS = '/var/run/secrets/kubernetes.io/serviceaccount';

describe('configuration of the k8s workload attestor', () => {
  it("asks the secure port with the pod's own token and CA unless told, as SPIRE does", () => {
    expect(k8sConfigSchema.parse({})).toEqual({
      kubelet: {
        ...{ kind: 'secure', port: 10250, caPath: `${CREDENTIALS}/ca.crt` },
        authentication: { kind: 'token', tokenPath: `${CREDENTIALS}/token` },
      },
      ...{ nodeName: undefined, nodeNameVariable: 'MY_NODE_NAME', reloadIntervalMs: 60_000 },
      ...{ mostPollAttempts: 60, pollIntervalMs: 500, logsContainerLocations: false },
      ...{ hasContainerSelectors: true, hasNamespaceLabels: false },
    });
  });

  it.each([
    [{ kubelet_read_only_port: 10255 }, { kind: 'read_only', port: 10255 }],
    [
      { skip_kubelet_verification: true, kubelet_secure_port: 1, token_path: '/t' },
      { kind: 'secure', port: 1, authentication: { kind: 'token', tokenPath: '/t' } },
    ],
    [
      { certificate_path: '/c', private_key_path: '/k', token_path: '/t', kubelet_ca_path: '/ca' },
      {
        ...{ kind: 'secure', port: 10250, caPath: '/ca' },
        authentication: { kind: 'certificate', certificatePath: '/c', privateKeyPath: '/k' },
      },
    ],
    [
      { use_anonymous_authentication: true },
      { kind: 'secure', port: 10250, caPath: `${CREDENTIALS}/ca.crt`, authentication: { kind: 'anonymous' } },
    ],
  ])('%j', (file, kubelet) => {
    expect(k8sConfigSchema.parse(file).kubelet).toEqual(kubelet);
  });

  it.each([
    [{ kubelet_read_only_port: 10255, kubelet_secure_port: 10250 }, 'expected one of them'],
    [{ certificate_path: '/c' }, 'private_key_path'],
    [{ private_key_path: '/k' }, 'certificate_path'],
    [{ use_anonymous_authentication: true, token_path: '/t' }, 'use_anonymous_authentication'],
    [{ sigstore: {} }, 'signatures of images are not verified'],
    [{ experimental: { sigstore: {} } }, 'experimental'],
    [{ experimental: { broker: { access_policy: 'permissive' } } }, 'experimental'],
    [{ use_new_container_locator: false }, 'cannot be false'],
    [{ disable_kubelet_client: true }, 'cannot be true'],
    [{ poll_retry_interval: '0s' }, 'positive duration'],
    [{ max_poll_attempts: 0 }, 'max_poll_attempts'],
    [{ kubelet_secure_port: 65536 }, 'kubelet_secure_port'],
    [{ kubelet_port: 10250 }, 'kubelet_port'],
  ])('refuses %j', (file, message) => {
    expect(() => k8sConfigSchema.parse(file)).toThrow(message);
  });

  it('takes the name of the node from the configuration, then from the environment', () => {
    expect(resolveNodeName('a', 'NODE', { NODE: 'b' })).toBe('a');
    expect(resolveNodeName(undefined, 'NODE', { NODE: 'b.example' })).toBe('b.example');
    expect(resolveNodeName(undefined, 'NODE', { NODE: '' })).toBeUndefined();
    expect(resolveNodeName(undefined, 'NODE', {})).toBeUndefined();
    expect(resolveNodeName('2001:db8::1', 'NODE', {})).toBe('2001:db8::1');
  });

  it.each(['evil@elsewhere', 'node:443/x?', 'node/..', '-node', 'a'.repeat(300)])(
    'refuses %j as the name of a node',
    (name) => {
      expect(() => resolveNodeName(name, 'NODE', {})).toThrow('no name of a node');
      expect(() => resolveNodeName(undefined, 'NODE', { NODE: name })).toThrow('NODE');
    },
  );

  it('asks the node by its name and 127.0.0.1 where there is none', async () => {
    const { kubelet } = k8sConfigSchema.parse({
      skip_kubelet_verification: true,
      use_anonymous_authentication: true,
    });
    expect((await loadKubeletAccess(kubelet, 'node-1')).url.href).toBe('https://node-1:10250/pods');
    expect((await loadKubeletAccess(kubelet, '2001:db8::1')).url.href).toBe(
      'https://[2001:db8::1]:10250/pods',
    );
    expect((await loadKubeletAccess(kubelet, undefined)).url.href).toBe('https://127.0.0.1:10250/pods');
    const readOnly = k8sConfigSchema.parse({ kubelet_read_only_port: 10255 }).kubelet;
    expect((await loadKubeletAccess(readOnly, 'node-1')).url.href).toBe('http://127.0.0.1:10255/pods');
  });
});
