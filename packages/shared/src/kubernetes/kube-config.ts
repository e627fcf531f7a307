/** kubeconfig files: the parts that name an API server and prove who asks. Ways that run programs or weaken TLS are refused, not ignored. */
import { isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { decodeBase64 } from '../crypto/pem.js';
import { errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import { parseBearerToken, parseServer, type ClusterAccess } from './cluster-access.js';

const text = z.string().min(1).optional();

const clusterSchema = z.object({
  server: z.string(),
  'certificate-authority': text,
  'certificate-authority-data': text,
  'insecure-skip-tls-verify': z.boolean().optional(),
  'tls-server-name': text,
  'proxy-url': text,
});

const userSchema = z.object({
  'client-certificate': text,
  'client-certificate-data': text,
  'client-key': text,
  'client-key-data': text,
  token: text,
  tokenFile: text,
  username: z.unknown().optional(),
  exec: z.unknown().optional(),
  'auth-provider': z.unknown().optional(),
});

const kubeConfigSchema = z.object({
  'current-context': z.string().min(1),
  contexts: z.array(
    z.object({ name: z.string(), context: z.object({ cluster: z.string(), user: z.string() }) }),
  ),
  clusters: z.array(z.object({ name: z.string(), cluster: clusterSchema })),
  users: z.array(z.object({ name: z.string(), user: userSchema })),
});

/**
 * @param directory from which relative paths lead.
 * @throws BonafideError `invalid_argument` naming what is missing or not supported; whatever `read` throws.
 */
export async function readKubeConfig(
  yaml: string,
  directory: string,
  read: (file: string) => Promise<string>,
): Promise<ClusterAccess> {
  const { cluster, user } = chooseContext(yaml);
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw invalidArgument(
      'insecure-skip-tls-verify would let anyone vouch for nodes; give certificate-authority',
    );
  }
  if (cluster['proxy-url'] !== undefined) throw invalidArgument('proxy-url is not supported');
  for (const way of ['exec', 'auth-provider', 'username'] as const) {
    if (user[way] === undefined || user[way] === null) continue;
    throw invalidArgument(
      `the user is known by ${way}, which is not supported; use a token or a certificate`,
    );
  }
  // The data goes before the file, as in kubectl.
  const take = async (data: string | undefined, file: string | undefined): Promise<string | undefined> => {
    if (data !== undefined)
      return decodeBase64(data.replace(/\s+/g, ''), 'data of a certificate').toString('utf8');
    return file === undefined ? undefined : await read(isAbsolute(file) ? file : join(directory, file));
  };
  const [ca, cert, key, fileToken] = await Promise.all([
    take(cluster['certificate-authority-data'], cluster['certificate-authority']),
    take(user['client-certificate-data'], user['client-certificate']),
    take(user['client-key-data'], user['client-key']),
    take(undefined, user.tokenFile),
  ]);
  if ((cert === undefined) !== (key === undefined)) {
    throw invalidArgument('the user has one of client-certificate and client-key; expected both or none');
  }
  // The file goes before the text, as in kubectl, for it can be replaced.
  const token = fileToken ?? user.token;
  return {
    server: parseServer(cluster.server),
    tls: { ca, cert, key, serverName: cluster['tls-server-name'] },
    bearerToken: token === undefined ? undefined : parseBearerToken(token),
  };
}

function chooseContext(yaml: string): {
  readonly cluster: z.infer<typeof clusterSchema>;
  readonly user: z.infer<typeof userSchema>;
} {
  const config = parseConfig(yaml);
  const current = config['current-context'];
  const context = config.contexts.find(({ name }) => name === current)?.context;
  if (context === undefined) throw invalidArgument(`there is no context ${JSON.stringify(current)}`);
  const cluster = config.clusters.find(({ name }) => name === context.cluster)?.cluster;
  if (cluster === undefined) throw invalidArgument(`there is no cluster ${JSON.stringify(context.cluster)}`);
  const user = config.users.find(({ name }) => name === context.user)?.user;
  if (user === undefined) throw invalidArgument(`there is no user ${JSON.stringify(context.user)}`);
  return { cluster, user };
}

function parseConfig(yaml: string): z.infer<typeof kubeConfigSchema> {
  let value: unknown;
  try {
    value = parse(yaml, { prettyErrors: false, logLevel: 'error' });
  } catch (cause) {
    throw invalidArgument(`it is no YAML: ${errorMessage(cause)}`, cause);
  }
  const result = kubeConfigSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalidArgument(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`);
}
