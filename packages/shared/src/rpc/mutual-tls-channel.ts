/** The client's side of TLS by SPIFFE ID (X509-SVID section 5): the server must be one SPIFFE ID, under the authorities we hold. */
import type { KeyObject } from 'node:crypto';
import { createSecureContext, type PeerCertificate, type SecureContextOptions } from 'node:tls';
import { credentials, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { encodePem } from '../crypto/pem.js';
import { exportPkcs8 } from '../crypto/private-key-encoding.js';
import { parseX509SvidLeaf } from '../crypto/verify-x509-svid.js';
import { BonafideError } from '../errors/bonafide-error.js';
import { trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';

export interface MutualTlsOptions {
  /** The SPIFFE ID that the server must have. */
  readonly serverId: SpiffeId;
  /**
   * CA certificates, DER, by which the server is verified. `unverified`: whoever answers and claims the server's ID is believed, which
   * only an explicit insecure bootstrap may ask for.
   */
  readonly authorities: readonly Buffer[] | 'unverified';
  /** Undefined: no client certificate, as before the first attestation. */
  readonly identity?: ClientIdentity | undefined;
}

export interface ClientIdentity {
  /** DER, leaf first. */
  readonly certificateChain: readonly Buffer[];
  readonly privateKey: KeyObject;
}

/** Options for every channel with such credentials. */
export function mutualTlsChannelOptions(serverId: SpiffeId): ChannelOptions {
  return {
    'grpc.use_local_subchannel_pool': 1, // or gRPC may share a connection that was made under another identity
    'grpc.ssl_target_name_override': trustDomainOf(serverId), // an address may be an IP, which TLS does not take for a server name
  };
}

/**
 * @throws Error from OpenSSL when key and certificate do not go together.
 */
export function createMutualTlsCredentials(options: MutualTlsOptions): ChannelCredentials {
  const { authorities, identity, serverId } = options;
  const isVerified = authorities !== 'unverified';
  const contextOptions: SecureContextOptions = {
    ca: isVerified ? authorities.map((der) => encodePem('CERTIFICATE', der)) : [],
    allowPartialTrustChain: true, // a trust bundle may hold intermediate authorities, which need not be self-signed
    minVersion: 'TLSv1.2',
    ...(identity === undefined
      ? {}
      : {
          cert: identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
          key: encodePem('PRIVATE KEY', exportPkcs8(identity.privateKey)),
        }),
  };
  return credentials.createFromSecureContext(createSecureContext(contextOptions), {
    rejectUnauthorized: isVerified,
    // In place of host names: an X.509-SVID names its holder in the one URI SAN.
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServer(certificate, serverId),
  });
}

function checkServer(certificate: PeerCertificate, serverId: SpiffeId): Error | undefined {
  try {
    const { spiffeId } = parseX509SvidLeaf(certificate.raw);
    if (spiffeId === serverId) return undefined;
    return new BonafideError('unauthenticated', `the server is ${spiffeId}; expected ${serverId}`);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
