/** What a workload imports: its identity from the SPIFFE Workload API, and mutual TLS by SPIFFE ID. */
export {
  WorkloadApiClient,
  type FetchOptions,
  type Watcher,
  type WorkloadApiClientOptions,
} from './workload-api/workload-api-client.js';
export { ENDPOINT_VARIABLE } from './workload-api/endpoint-address.js';
export type { X509Bundle, X509Bundles, X509Context } from './workload-api/x509-context.js';
export { X509Source, type X509Identity, type X509SourceOptions } from './x509-source.js';
export type { SourceEvents } from './source-events.js';
export {
  authorizeAny,
  authorizeId,
  authorizeMatching,
  authorizeMemberOf,
  authorizeOneOf,
  type Authorizer,
} from './tls/authorizer.js';
export { tlsClientOptions, type TlsClientOptions } from './tls/tls-client-options.js';
export { tlsServerOptions, type TlsServerOptions } from './tls/tls-server-options.js';
export { createHttp2Server, createHttpsServer, createTlsServer } from './tls/create-servers.js';
export { createHttpsAgent } from './tls/https-agent.js';
export { peerSpiffeId } from './tls/peer-spiffe-id.js';
export { grpcChannelCredentials } from './grpc/grpc-channel-credentials.js';
export { createGrpcListener, grpcPeerSpiffeId, type GrpcListener } from './grpc/grpc-listener.js';
export { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
export {
  parseSpiffeId,
  pathOf,
  spiffeIdFromParts,
  trustDomainOf,
  type SpiffeId,
} from '@bonafide/shared/spiffe-id/spiffe-id';
export { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
export type { X509Svid } from '@bonafide/shared/svid/x509-svid';
