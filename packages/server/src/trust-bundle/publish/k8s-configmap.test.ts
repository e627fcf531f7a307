import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { KubernetesApiServer } from '@bonafide/testing/kubernetes-api-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import type { BundlePublisher } from './bundle-publisher.js';
import { k8sConfigMap } from './k8s-configmap.js';

const signal = new AbortController().signal;
let folder: TemporaryDirectory;
let cluster: KubernetesApiServer;
let authority: TestAuthority;

beforeEach(async () => {
  folder = createTemporaryDirectory();
  cluster = await KubernetesApiServer.start();
  authority = await TestAuthority.create('example.org');
  writeFileSync(folder.join('kubeconfig'), cluster.kubeConfig());
});

afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  folder.remove();
});

function target(changes: object = {}): object {
  return {
    ...{ namespace: 'spire', configmap_name: 'bundle', configmap_key: 'bundle.spiffe' },
    ...{ kubeconfig_path: folder.join('kubeconfig'), ...changes },
  };
}

function publisher(clusters: object): BundlePublisher {
  return k8sConfigMap.create(k8sConfigMap.configSchema.parse({ clusters }));
}

describe('a bundle in a ConfigMap', () => {
  it('takes the place of the one before, and of nothing else there', async () => {
    cluster.configMaps.set('spire/bundle', { other: 'stays', 'bundle.spiffe': 'old' });
    await publisher({ here: target() }).publish(authority.bundle(), signal);
    const written = cluster.configMaps.get('spire/bundle');
    expect(written?.['other']).toBe('stays');
    const published = parseBundleDocument(authority.bundle().trustDomain, written?.['bundle.spiffe'] ?? '');
    expect(published.x509Authorities).toEqual(authority.bundle().x509Authorities);
    expect(cluster.requests).toEqual(['PATCH /api/v1/namespaces/spire/configmaps/bundle']);
  });

  it('is written to each cluster, whatever becomes of the others, and the failure is told with its remedy', async () => {
    cluster.configMaps.set('spire/bundle', {});
    const clusters = { gone: target({ configmap_name: 'nowhere' }), here: target({ format: 'pem' }) };
    await expect(publisher(clusters).publish(authority.bundle(), signal)).rejects.toThrow(
      /gone: spire\/nowhere.*create the ConfigMap, empty/,
    );
    expect(cluster.configMaps.get('spire/bundle')?.['bundle.spiffe']).toContain('BEGIN CERTIFICATE');
  });

  it('counts as written only when the API server says so', async () => {
    cluster.lie = (_, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ kind: 'ConfigMap', metadata: { name: 'bundle' }, data: {} }));
    };
    await expect(publisher({ here: target() }).publish(authority.bundle(), signal)).rejects.toThrow(
      /did not write what it was given/,
    );
  });

  it.each([
    { configmap_name: '../secrets/x' },
    { namespace: 'a/b' },
    { configmap_key: 'a/b' },
    { configmap_key: '' },
    { format: 'yaml' },
  ])('is not configured as %j', (changes) => {
    expect(k8sConfigMap.configSchema.safeParse({ clusters: { here: target(changes) } }).success).toBe(false);
  });
});
