/** Reads how to reach a cluster: as a pod inside of it, or by a kubeconfig file. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import { parseBearerToken, parseServer, type ClusterAccess } from './cluster-access.js';
import { readKubeConfig } from './kube-config.js';

/** Where Kubernetes puts a pod's own credentials. */
const POD_CREDENTIALS_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Everything is read anew, for tokens and certificates are replaced on disk.
 * @throws BonafideError `failed_precondition` naming the file and what is wrong with it.
 */
export async function loadClusterAccess(kubeConfigFile: string): Promise<ClusterAccess> {
  const text = await read(kubeConfigFile);
  try {
    return await readKubeConfig(text, dirname(kubeConfigFile), read);
  } catch (error) {
    const message = `kubeconfig ${kubeConfigFile}: ${errorMessage(error)}`;
    throw new BonafideError('failed_precondition', message, { cause: error });
  }
}

/** @throws BonafideError `failed_precondition` when this process is not in a pod. */
export async function loadPodAccess(
  directory: string = POD_CREDENTIALS_DIRECTORY,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<ClusterAccess> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (host === undefined || host === '' || port === undefined || port === '') {
    throw new BonafideError(
      'failed_precondition',
      'this process is not in a pod of a Kubernetes cluster (KUBERNETES_SERVICE_HOST is not set), so it has no credentials there; a server may name a kube_config_file',
    );
  }
  const [ca, token] = await Promise.all([read(join(directory, 'ca.crt')), read(join(directory, 'token'))]);
  return {
    server: parseServer(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    tls: { ca },
    bearerToken: parseBearerToken(token),
  };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new BonafideError('failed_precondition', `cannot read ${file}: ${errorMessage(cause)}`, { cause });
  }
}
