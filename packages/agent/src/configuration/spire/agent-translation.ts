/** What becomes of SPIRE's agent.conf where it is not the same here. */
import {
  group,
  ignored,
  lowerCased,
  mapped,
  moved,
  refused,
  type OwnValue,
  type SpireTranslation,
  type SpireValue,
} from '@bonafide/shared/config/spire/spire-rules';
import { telemetryRules } from '@bonafide/shared/config/spire/telemetry-rules';

const NO_PROFILER = 'profiles are taken with the means of Node.js';
const NO_WINDOWS = 'Windows is not served; sockets are used';
const PUSHED = 'the server tells of changes as they are committed';
const ELSEWHERE = 'is not there; expected directory, which writes files';

const WORKLOAD_APIS = ['x509', 'jwt', 'validate_jwt', 'wit'] as const;

export const agentTranslation = {
  keys: {
    agent: group({
      disable_workload_api: mapped('agent.apis', (value) =>
        isOn(value) ? WORKLOAD_APIS.map((name) => switchedOff(name)) : [],
      ),
      disable_sds_api: mapped('agent.apis.sds', (value) => (isOn(value) ? [switchedOff('sds')] : [])),
      log_format: lowerCased(['agent', 'log_format']),
      log_selectors: mapped('agent.log_selectors', (value) => [
        { path: ['agent', 'log_selectors'], value: shownSelectors(value) },
      ]),
      log_source_location: ignored('log lines have no place in the source'),
      profiling_enabled: ignored(NO_PROFILER),
      profiling_port: ignored(NO_PROFILER),
      profiling_freq: ignored(NO_PROFILER),
      profiling_names: ignored(NO_PROFILER),
      trust_bundle_unix_socket: refused(
        'bundles are not fetched over a Unix socket; expected trust_bundle_path or trust_bundle_url',
      ),
      trust_bundle_spiffe_workload_api: refused(
        'bundles are not fetched from another Workload API; expected trust_bundle_path or trust_bundle_url',
      ),
      experimental: group({
        sync_interval: ignored(PUSHED),
        use_sync_authorized_entries: ignored(PUSHED),
        jwt_svid_cache_hit_timeout: ignored('a JWT-SVID that is held is returned at once'),
        named_pipe_name: ignored(NO_WINDOWS),
        admin_named_pipe_name: ignored(NO_WINDOWS),
        require_pq_kem: refused('post-quantum key exchange cannot be required yet; take it out'),
        ratelimit: ignored('agent.limits.calls_per_second_per_uid bounds the calls of each user'),
        feature_flags: ignored('there are no feature flags'),
        broker: moved('agent', 'broker'),
      }),
    }),
    telemetry: telemetryRules,
  },
  plugins: {
    data: {},
    missing: {
      NodeAttestor: {
        azure_msi: 'is not there; azure_imds attests machines of Azure',
        k8s_sat: 'is not there; k8s_psat attests nodes of Kubernetes',
      },
      WorkloadAttestor: {
        windows: 'Windows is not served; expected unix, systemd, docker, podman or k8s',
        slurm: 'is not there; expected unix, systemd, docker, podman or k8s',
      },
      SVIDStore: {
        aws_secretsmanager: ELSEWHERE,
        gcp_secretmanager: ELSEWHERE,
      },
    },
  },
} satisfies SpireTranslation;

function switchedOff(api: string): OwnValue {
  return { path: ['agent', 'apis', api], value: false };
}

function isOn(value: SpireValue): boolean {
  return value === true || value === 'true';
}

/** SPIRE lists the kinds of selectors that are written in full. */
function shownSelectors(value: SpireValue): SpireValue {
  if (!Array.isArray(value)) return value;
  if (value.includes('*')) return 'full';
  return value.length === 0 ? 'none' : 'redacted';
}
