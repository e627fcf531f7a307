/** The configuration of the `vault` upstream authority: SPIRE's names, and its environment variables for what is left out. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';

const text = z.string().min(1).max(4096);
/** Mount points and roles become parts of paths. */
const pathPart = z
  .string()
  .max(512)
  .regex(/^[\w.~-]+(\/[\w.~-]+)*$/, { message: 'is no mount point; expected for example pki or team/pki' });

export const vaultConfigSchema = z
  .strictObject({
    vault_addr: text.optional(),
    namespace: text.optional(),
    pki_mount_point: pathPart.default('pki'),
    ca_cert_path: text.optional(),
    insecure_skip_verify: z.boolean().default(false),
    token_auth: z.strictObject({ token: text.optional() }).optional(),
    cert_auth: z
      .strictObject({
        cert_auth_mount_point: pathPart.default('cert'),
        cert_auth_role_name: text.optional(),
        client_cert_path: text.optional(),
        client_key_path: text.optional(),
      })
      .optional(),
    approle_auth: z
      .strictObject({
        approle_auth_mount_point: pathPart.default('approle'),
        approle_id: text.optional(),
        approle_secret_id: text.optional(),
      })
      .optional(),
    k8s_auth: z
      .strictObject({
        k8s_auth_mount_point: pathPart.default('kubernetes'),
        k8s_auth_role_name: text,
        token_path: text.default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
      })
      .optional(),
  })
  .refine(
    ({ token_auth: token, cert_auth: cert, approle_auth: approle, k8s_auth: k8s }) =>
      [token, cert, approle, k8s].filter((method) => method !== undefined).length === 1,
    { message: 'must name one way to authenticate: token_auth, cert_auth, approle_auth or k8s_auth' },
  );

export type VaultConfig = z.output<typeof vaultConfigSchema>;

/** How this server shows who it is. */
export type VaultLogin =
  | { readonly kind: 'token'; readonly token: string }
  | {
      readonly kind: 'cert';
      readonly mountPoint: string;
      readonly role: string | undefined;
      readonly certPath: string;
      readonly keyPath: string;
    }
  | {
      readonly kind: 'approle';
      readonly mountPoint: string;
      readonly roleId: string;
      readonly secretId: string;
    }
  | {
      readonly kind: 'kubernetes';
      readonly mountPoint: string;
      readonly role: string;
      readonly tokenPath: string;
    };

export interface VaultSettings {
  readonly address: URL;
  readonly namespace: string | undefined;
  readonly pkiMountPoint: string;
  readonly caPath: string | undefined;
  readonly isUnverified: boolean;
  readonly login: VaultLogin;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws BonafideError `invalid_argument` naming what is missing, in the file and in the environment. */
export function readVaultSettings(config: VaultConfig, environment: Environment): VaultSettings {
  return {
    address: parseAddress(either(config.vault_addr, environment, 'vault_addr', 'VAULT_ADDR')),
    namespace: config.namespace ?? present(environment['VAULT_NAMESPACE']),
    pkiMountPoint: config.pki_mount_point,
    caPath: config.ca_cert_path ?? present(environment['VAULT_CACERT']),
    isUnverified: config.insecure_skip_verify,
    login: readLogin(config, environment),
  };
}

function readLogin(config: VaultConfig, environment: Environment): VaultLogin {
  const { token_auth: token, cert_auth: cert, approle_auth: approle, k8s_auth: k8s } = config;
  if (token !== undefined) {
    return { kind: 'token', token: either(token.token, environment, 'token', 'VAULT_TOKEN') };
  }
  if (cert !== undefined) {
    return {
      kind: 'cert',
      mountPoint: cert.cert_auth_mount_point,
      role: cert.cert_auth_role_name,
      certPath: either(cert.client_cert_path, environment, 'client_cert_path', 'VAULT_CLIENT_CERT'),
      keyPath: either(cert.client_key_path, environment, 'client_key_path', 'VAULT_CLIENT_KEY'),
    };
  }
  if (approle !== undefined) {
    return {
      kind: 'approle',
      mountPoint: approle.approle_auth_mount_point,
      roleId: either(approle.approle_id, environment, 'approle_id', 'VAULT_APPROLE_ID'),
      secretId: either(
        approle.approle_secret_id,
        environment,
        'approle_secret_id',
        'VAULT_APPROLE_SECRET_ID',
      ),
    };
  }
  if (k8s !== undefined) {
    return {
      kind: 'kubernetes',
      mountPoint: k8s.k8s_auth_mount_point,
      role: k8s.k8s_auth_role_name,
      tokenPath: k8s.token_path,
    };
  }
  throw new BonafideError('internal', 'the configuration of vault names no way to authenticate');
}

function either(value: string | undefined, environment: Environment, key: string, variable: string): string {
  const found = value ?? present(environment[variable]);
  if (found !== undefined) return found;
  throw invalidArgument(`the vault upstream authority needs ${key}, or the environment variable ${variable}`);
}

function present(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function parseAddress(address: string): URL {
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    throw invalidArgument('vault_addr is no URL; expected for example https://vault.example.org:8200', cause);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw invalidArgument('vault_addr must begin with https:// or http://');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw invalidArgument('vault_addr must be without user, query and fragment');
  }
  return url;
}
