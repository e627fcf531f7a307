/** What a workload imports: its identity from the SPIFFE Workload API, mutual TLS by SPIFFE ID, and tokens with their proofs. */
export {
  WorkloadApiClient,
  type FetchOptions,
  type Watcher,
  type WorkloadApiClientOptions,
} from './workload-api/workload-api-client.js';
export { ENDPOINT_VARIABLE } from './workload-api/endpoint-address.js';
export type { X509Bundle, X509Bundles, X509Context } from './workload-api/x509-context.js';
export { X509Source, type X509Identity, type X509SourceOptions, type X509Trust } from './x509-source.js';
export type { SourceEvents } from './source-events.js';
export {
  allowAnonymous,
  allowAnonymousOr,
  authorizeAny,
  authorizeId,
  authorizeMatching,
  authorizeMemberOf,
  authorizeOneOf,
  authorizeWebServer,
  type Authorizer,
  type WebPki,
} from './tls/authorizer.js';
export { tlsClientOptions, type TlsClientOptions } from './tls/tls-client-options.js';
export { tlsServerOptions, type TlsServerOptions } from './tls/tls-server-options.js';
export { createHttp2Server, createHttpsServer, createTlsServer } from './tls/create-servers.js';
export { createHttpsAgent } from './tls/https-agent.js';
export { connectHttp2, type Http2ConnectOptions } from './tls/connect-http2.js';
export {
  withoutSvid,
  withTrust,
  withWebCertificate,
  type ServerIdentity,
  type WebIdentity,
} from './tls/server-identity.js';
export type { WebCertificate } from './tls/secure-context.js';
export { peerSpiffeId } from './tls/peer-spiffe-id.js';
export { grpcChannelCredentials } from './grpc/grpc-channel-credentials.js';
export {
  createGrpcListener,
  grpcPeerSpiffeId,
  type AuthenticatedCall,
  type GrpcListener,
} from './grpc/grpc-listener.js';
export {
  authorizeGrpcCalls,
  grpcCallIdentity,
  type GrpcCallAuthentication,
  type GrpcCallIdentity,
} from './grpc/grpc-authorization.js';
export type { JwtAuthentication } from './http-auth/authenticate-request.js';
export { grpcJwtCredentials, type JwtFetcher } from './grpc/grpc-jwt-credentials.js';
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
export { JwtSource, type JwtFetchOptions, type JwtSourceOptions } from './jwt-source.js';
export { verifyJwtSvid, type JwtTrust, type JwtVerifyOptions } from './verify-jwt-svid.js';
export {
  BundleSource,
  type BundleProfile,
  type BundleSourceOptions,
  type SpiffeBundle,
} from './bundle-source.js';
export { BundleSet, type BundleSetBase } from './federation/bundle-set.js';
export type {
  BundleEndpoint,
  SpiffeBundleEndpoint,
  WebBundleEndpoint,
} from './federation/bundle-endpoint.js';
export { bundleDocument, parseBundleDocument, type FetchedBundle } from './federation/fetched-bundle.js';
export { fetchBundle, type FetchBundleOptions } from './federation/fetch-bundle.js';
export { watchBundle, type BundleWatcher } from './federation/watch-bundle.js';
export { bundleHandler, type BundleHandler, type BundleHandlerOptions } from './federation/serve-bundle.js';
export type { SourceOptions } from './source-watch.js';
export { WitSource, type WitIdentity, type WitSourceOptions, type WitTrust } from './wit-source.js';
export type { JwtBundle, JwtBundles, WitBundle, WitBundles } from './workload-api/token-bundle.js';
export type { JwtSvids, ValidatedJwtSvid } from './workload-api/read-jwt-response.js';
export type { WitSvids } from './workload-api/read-wit-response.js';
export {
  createWorkloadProofToken,
  type BoundTokens,
  type WorkloadProofOptions,
} from './wit/create-workload-proof-token.js';
export {
  verifyWorkloadProofToken,
  type VerifiedWorkloadProof,
  type WorkloadProofVerification,
} from './wit/verify-workload-proof-token.js';
export {
  MemoryReplayStore,
  type MemoryReplayStoreOptions,
  type ProofUse,
  type ReplayStore,
} from './wit/replay-store.js';
export type { ProofLimits } from './wit/proof-limits.js';
export {
  fieldLines,
  type FieldLines,
  type SignedRequest,
  type SignedResponse,
} from './http-signature/http-message.js';
export {
  signRequest,
  signResponse,
  type SignatureHeaders,
  type SignOptions,
  type SignRequestOptions,
} from './http-signature/sign-message.js';
export {
  verifyMessageSignature,
  type SignatureVerification,
  type VerifiedSignature,
} from './http-signature/verify-message.js';
export { checkContentDigest, contentDigest } from './http-signature/content-digest.js';
export { witFetch, type WitFetchOptions } from './wit-http/wit-fetch.js';
export {
  signNodeRequest,
  verifyWitResponse,
  type SignedNodeRequest,
  type SignNodeRequestOptions,
} from './wit-http/node-client.js';
export {
  verifyWitRequest,
  type IncomingRequest,
  witErrorStatus,
  type VerifiedWitRequest,
  type VerifyWitRequestOptions,
} from './wit-http/verify-wit-request.js';
export { sendSignedResponse, type SendSignedResponseOptions } from './wit-http/send-signed-response.js';
export type { ProofKind, ProofOptions } from './wit-http/prove-request.js';
export type { ResponsePolicy, VerifiedResponse } from './wit-http/verify-response.js';
export { verifyWitSvid, type VerifiedWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
export type { VerifiedJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
export type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
export type { WitSvid } from '@bonafide/shared/svid/wit-svid';
