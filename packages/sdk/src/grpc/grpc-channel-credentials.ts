/** Mutual TLS for clients of @grpc/grpc-js. */
import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import type { Authorizer } from '../tls/authorizer.js';
import { tlsClientOptions } from '../tls/tls-client-options.js';
import type { X509Identity, X509Trust } from '../x509-source.js';

/**
 * Each connection of the channel presents the SVID of its moment; one that is open lives on through updates of the source. Channels
 * share a connection only when they share these credentials, so that no channel talks to a server another one authorized.
 * @example
 * const client = new GreeterClient('greeter.internal:8443', grpcChannelCredentials(source, authorizeId('spiffe://example.org/greeter')));
 */
export function grpcChannelCredentials(
  source: X509Identity | X509Trust,
  authorizer: Authorizer,
): ChannelCredentials {
  const { secureContext, checkServerIdentity } = tlsClientOptions(source, authorizer);
  return credentials.createFromSecureContext(secureContext, {
    checkServerIdentity,
    rejectUnauthorized: true,
  });
}
