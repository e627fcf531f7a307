/** JWT-SVIDs in the metadata of gRPC calls, for servers behind something that ends TLS. */
import { credentials, Metadata, type CallCredentials } from '@grpc/grpc-js';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';

/** Who has JWT-SVIDs. `JwtSource` is one. */
export interface JwtFetcher {
  /** A token for those of `audience`. */
  fetch(audience: string | readonly string[]): Promise<JwtSvid>;
}

/**
 * Each call carries `authorization: Bearer` with a JWT-SVID that is valid at that moment. gRPC sends it over TLS channels alone.
 * @example
 * const channel = credentials.combineChannelCredentials(grpcChannelCredentials(x509, authorizer), grpcJwtCredentials(jwt, 'billing'));
 */
export function grpcJwtCredentials(
  source: JwtFetcher,
  audience: string | readonly string[],
): CallCredentials {
  return credentials.createFromMetadataGenerator((_parameters, callback) => {
    source.fetch(audience).then(
      ({ token }) => {
        const metadata = new Metadata();
        metadata.set('authorization', `Bearer ${token}`);
        callback(null, metadata);
      },
      (error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
