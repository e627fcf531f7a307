import { writeFile } from 'node:fs/promises';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { loadClusterAccess, loadPodAccess } from './load-cluster-access.js';

describe('loadPodAccess', () => {
  it("reads the pod's own credentials anew each time", async () => {
    using directory = createTemporaryDirectory();
    await writeFile(directory.join('ca.crt'), 'ca');
    await writeFile(directory.join('token'), 'one\n');
    const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect(await loadPodAccess(directory.path, environment)).toEqual({
      ...{ server: new URL('https://[fd00::1]'), tls: { ca: 'ca' }, bearerToken: 'one' },
    });
    await writeFile(directory.join('token'), 'two');
    expect((await loadPodAccess(directory.path, environment)).bearerToken).toBe('two');
  });

  it('says what is missing', async () => {
    using directory = createTemporaryDirectory();
    await expect(loadPodAccess(directory.path, {})).rejects.toThrow(/name a kube_config_file/);
    const environment = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
    await expect(loadPodAccess(directory.path, environment)).rejects.toThrow(/ca\.crt/);
    await expect(loadClusterAccess(directory.join('config'))).rejects.toThrow(/cannot read .*config/);
    await writeFile(directory.join('config'), '{}');
    await expect(loadClusterAccess(directory.join('config'))).rejects.toThrow(/kubeconfig .*current-context/);
  });
});
