/** What becomes of SPIRE's server.conf where it is not the same here. */
import {
  group,
  groupOfNamed,
  ignored,
  lowerCased,
  mapped,
  moved,
  refused,
  type SpireFields,
  type SpireTranslation,
  type SpireValue,
} from '@bonafide/shared/config/spire/spire-rules';
import { telemetryRules } from '@bonafide/shared/config/spire/telemetry-rules';

const NO_PROFILER = 'profiles are taken with the means of Node.js';
const ENDPOINT = ['server', 'federation', 'bundle_endpoint'] as const;
const PUSHED = 'changes reach agents as they are committed';

export const serverTranslation = {
  keys: {
    server: group({
      audit_log_enabled: ignored('what is done is always audited'),
      disable_jwt_svids: refused('JWT-SVIDs cannot be switched off yet; take it out'),
      log_format: lowerCased(['server', 'log_format']),
      log_source_location: ignored('log lines have no place in the source'),
      max_attested_node_info_staleness: ignored('what is known of a node is never old'),
      profiling_enabled: ignored(NO_PROFILER),
      profiling_port: ignored(NO_PROFILER),
      profiling_freq: ignored(NO_PROFILER),
      profiling_names: ignored(NO_PROFILER),
      proxy_protocol_trusted_cidrs: refused(
        'the PROXY protocol is not spoken; let the load balancer pass TCP through, and name it in trusted_proxies',
      ),
      experimental: group({
        agent_spiffe_id_as_selector: refused(
          'is not offered; give entries of nodes a selector that their attestor proves',
        ),
        auth_opa_policy_engine: refused(
          'policies in Rego are not evaluated; admin_ids and access say who may do what',
        ),
        cache_reload_interval: ignored(PUSHED),
        full_cache_reload_interval: ignored(PUSHED),
        events_based_cache: ignored(PUSHED),
        prune_events_older_than: ignored(PUSHED),
        event_timeout: ignored(PUSHED),
        sql_transaction_timeout: ignored('transactions have a limit of their own'),
        require_pq_kem: refused('post-quantum key exchange cannot be required yet; take it out'),
        wit_issuer: refused('WIT-SVIDs name the trust domain as their issuer; take it out'),
        feature_flags: ignored('there are no feature flags'),
        named_pipe_name: ignored('Windows is not served; socket_path is used'),
      }),
      federation: group({
        bundle_endpoint: {
          kind: 'group',
          keys: { acme: moved(...ENDPOINT, 'profile', 'https_web', 'acme') },
          unless: {
            keys: ['profile', 'acme'],
            own: { path: [...ENDPOINT, 'profile', 'https_spiffe'], value: {} },
          },
        },
        federates_with: { kind: 'group', keys: {}, rename: (name) => name.replace(/^spiffe:\/\//, '') },
      }),
    }),
    telemetry: telemetryRules,
  },
  plugins: {
    data: {
      BundlePublisher: {
        k8s_configmap: {
          clusters: groupOfNamed({
            refresh_hint: ignored('bundles tell how often to look for the next one by themselves'),
          }),
        },
      },
      DataStore: {
        sql: {
          database_type: mapped('plugins.DataStore.sql.database_type', databaseType),
          disable_migration: ignored('the database is brought up to date at the start'),
          root_ca_path: refused('write sslrootcert=… into connection_string'),
          client_cert_path: refused('write sslcert=… into connection_string'),
          client_key_path: refused('write sslkey=… into connection_string'),
        },
      },
    },
    missing: {
      Notifier:
        'bundles are published by plugins of kind BundlePublisher: k8s_configmap, local_file or http_put',
      CredentialComposer: 'what an SVID says cannot be changed by a plugin here',
      BundlePublisher: {
        aws_s3: 'is not there; http_put writes to a pre-signed or proxied URL',
        aws_rolesanywhere_trustanchor:
          'is not there; local_file writes the bundle for a program that uploads it',
        gcp_cloudstorage: 'is not there; http_put writes to a signed or proxied URL',
      },
      KeyManager: {
        aws_kms: 'keys in a cloud are not there yet; expected disk or memory',
        azure_key_vault: 'keys in a cloud are not there yet; expected disk or memory',
        gcp_kms: 'keys in a cloud are not there yet; expected disk or memory',
        hashicorp_vault:
          'keys in Vault are not there yet; expected disk or memory, with UpstreamAuthority vault for the root',
      },
      NodeAttestor: {
        azure_msi: 'is not there; azure_imds attests machines of Azure',
        k8s_sat: 'is not there; k8s_psat attests nodes of Kubernetes',
      },
      UpstreamAuthority: {
        aws_pca: 'is not there; expected disk, spire or vault',
        awssecret: 'is not there; expected disk, spire or vault',
        'cert-manager': 'is not there; expected disk, spire or vault',
        ejbca: 'is not there; expected disk, spire or vault',
        gcp_cas: 'is not there; expected disk, spire or vault',
      },
    },
  },
} satisfies SpireTranslation;

function databaseType(value: SpireValue): readonly { path: readonly string[]; value: SpireValue }[] {
  const path = ['plugins', 'DataStore', 'sql', 'database_type'];
  // `database_type "aws_postgres" { … }`: the schema tells that it is not accepted.
  const [name] = isFields(value) ? Object.keys(value) : [];
  return [{ path, value: name ?? value }];
}

function isFields(value: SpireValue): value is SpireFields {
  return typeof value === 'object' && !Array.isArray(value);
}
