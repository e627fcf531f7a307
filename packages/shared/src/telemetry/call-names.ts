/** How the log names a call: service and method apart, and short, as SPIRE has them. */

export interface CallNames {
  /** `entry.v1.Entry` */
  readonly service: string;
  /** `ListEntries` */
  readonly method: string;
}

/** What SPIRE leaves out or shortens. */
const SHORT_NAMES: readonly (readonly [prefix: string, short: string])[] = [
  ['logger.v1.Logger', 'Logger'],
  ['spire.api.agent.logger.v1.Logger', 'Logger'],
  ['spire.api.agent.delegatedidentity.v1.DelegatedIdentity', 'DelegatedIdentity'],
  ['spire.api.server.', ''],
  ['SpiffeWorkloadAPI', 'WorkloadAPI'],
  ['envoy.service.secret.v3.SecretDiscoveryService', 'SDS.v3'],
  ['grpc.health.v1.Health', 'Health'],
];

/** @param path of gRPC: `/package.Service/Method`. */
export function callNames(path: string): CallNames {
  const slash = path.lastIndexOf('/');
  const service = path.slice(path.startsWith('/') ? 1 : 0, Math.max(slash, 0));
  const [prefix, short] = SHORT_NAMES.find(([long]) => service.startsWith(long)) ?? ['', ''];
  return { service: short + service.slice(prefix.length), method: path.slice(slash + 1) };
}
