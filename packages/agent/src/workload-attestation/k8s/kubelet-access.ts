/** How the kubelet of this node is reached and by what it knows us, read from files that others replace. */
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { HttpTls } from '@bonafide/shared/http/send-request';
import { parseBearerToken } from '@bonafide/shared/kubernetes/cluster-access';
import type { KubeletAuthentication, KubeletEndpoint } from './k8s-config.js';

export interface KubeletAccess {
  readonly url: URL;
  readonly tls: HttpTls | undefined;
  readonly bearerToken: string | undefined;
}

/** @throws BonafideError `failed_precondition` naming the file and what is wrong with it. */
export async function loadKubeletAccess(
  endpoint: KubeletEndpoint,
  nodeName: string | undefined,
): Promise<KubeletAccess> {
  // Nobody but the node itself serves or forges what is on its loopback interface; by name there would be no such promise.
  if (endpoint.kind === 'read_only') {
    return { url: podsUrl('http', '127.0.0.1', endpoint.port), tls: undefined, bearerToken: undefined };
  }
  const { authentication, caPath, port } = endpoint;
  const [ca, credentials] = await Promise.all([
    caPath === undefined ? undefined : readCa(caPath),
    readCredentials(authentication),
  ]);
  return {
    url: podsUrl('https', nodeName ?? '127.0.0.1', port),
    tls: {
      ...credentials.tls,
      ca,
      isUnverified: ca === undefined,
      // As in SPIRE: a kubelet's certificate is seldom for 127.0.0.1.
      isAnyName: nodeName === undefined,
    },
    bearerToken: credentials.bearerToken,
  };
}

/**
 * @param configured goes before the environment variable, as in SPIRE. @returns undefined: there is neither.
 * @throws BonafideError `invalid_argument` when it is no name of a host.
 */
export function resolveNodeName(
  configured: string | undefined,
  variable: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const nodeName = configured ?? environment[variable] ?? '';
  if (nodeName === '') return undefined;
  if (isIPv6(nodeName) || /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(nodeName)) return nodeName;
  const source = configured === undefined ? `environment variable ${variable}` : 'node_name';
  throw invalidArgument(`${source}: ${JSON.stringify(nodeName.slice(0, 100))} is no name of a node`);
}

function podsUrl(scheme: 'http' | 'https', host: string, port: number): URL {
  return new URL(`${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}/pods`);
}

async function readCa(path: string): Promise<string> {
  const ca = await read(path);
  // Without any certificate in it Node.js would ask nobody to be signed by this file.
  if (ca.includes('-----BEGIN CERTIFICATE-----')) return ca;
  throw new BonafideError('failed_precondition', `there is no certificate in ${path}; expected PEM`);
}

async function readCredentials(
  authentication: KubeletAuthentication,
): Promise<Pick<KubeletAccess, 'bearerToken'> & { readonly tls: Pick<HttpTls, 'cert' | 'key'> }> {
  switch (authentication.kind) {
    case 'anonymous':
      return { tls: {}, bearerToken: undefined };
    case 'certificate': {
      const { certificatePath, privateKeyPath } = authentication;
      const [cert, key] = await Promise.all([read(certificatePath), read(privateKeyPath)]);
      return { tls: { cert, key }, bearerToken: undefined };
    }
    case 'token':
      return { tls: {}, bearerToken: await readToken(authentication.tokenPath) };
  }
}

async function readToken(path: string): Promise<string> {
  const text = await read(path);
  try {
    return parseBearerToken(text);
  } catch (cause) {
    throw new BonafideError('failed_precondition', `there is no bearer token in ${path}`, { cause });
  }
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new BonafideError('failed_precondition', `cannot read ${path}: ${errorMessage(cause)}`, { cause });
  }
}
