/** Messages that travel as bytes inside others: their encoding outside any call. */
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import type { RefusalDetails, RefusalDetails__Output } from './gen/bonafide/attestation/v1/RefusalDetails.js';
import type {
  SPIFFECertValidatorConfig,
  SPIFFECertValidatorConfig__Output,
} from './gen/envoy/extensions/transport_sockets/tls/v3/SPIFFECertValidatorConfig.js';
import type { Secret, Secret__Output } from './gen/envoy/extensions/transport_sockets/tls/v3/Secret.js';
import type { ErrorInfo, ErrorInfo__Output } from './gen/google/rpc/ErrorInfo.js';
import type { Status, Status__Output } from './gen/google/rpc/Status.js';
import type {
  KubernetesObjectReference,
  KubernetesObjectReference__Output,
} from './gen/spiffe/broker/KubernetesObjectReference.js';
import type {
  WorkloadPIDReference,
  WorkloadPIDReference__Output,
} from './gen/spiffe/broker/WorkloadPIDReference.js';
import type {
  PermissionDeniedDetails,
  PermissionDeniedDetails__Output,
} from './gen/spire/api/types/PermissionDeniedDetails.js';
import { loadProto } from './load-proto.js';

interface MessageTypes {
  readonly 'bonafide.attestation.v1.RefusalDetails': MessageTypeDefinition<
    RefusalDetails,
    RefusalDetails__Output
  >;
  readonly 'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig': MessageTypeDefinition<
    SPIFFECertValidatorConfig,
    SPIFFECertValidatorConfig__Output
  >;
  readonly 'envoy.extensions.transport_sockets.tls.v3.Secret': MessageTypeDefinition<Secret, Secret__Output>;
  readonly 'google.rpc.ErrorInfo': MessageTypeDefinition<ErrorInfo, ErrorInfo__Output>;
  readonly 'google.rpc.Status': MessageTypeDefinition<Status, Status__Output>;
  readonly 'spiffe.broker.KubernetesObjectReference': MessageTypeDefinition<
    KubernetesObjectReference,
    KubernetesObjectReference__Output
  >;
  readonly 'spiffe.broker.WorkloadPIDReference': MessageTypeDefinition<
    WorkloadPIDReference,
    WorkloadPIDReference__Output
  >;
  readonly 'spire.api.types.PermissionDeniedDetails': MessageTypeDefinition<
    PermissionDeniedDetails,
    PermissionDeniedDetails__Output
  >;
}

const MESSAGES = {
  'bonafide.attestation.v1.RefusalDetails': 'bonafide/attestation/v1/proof.proto',
  'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig':
    'envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.proto',
  'envoy.extensions.transport_sockets.tls.v3.Secret':
    'envoy/extensions/transport_sockets/tls/v3/secret.proto',
  'google.rpc.ErrorInfo': 'google/rpc/error_details.proto',
  'google.rpc.Status': 'google/rpc/status.proto',
  'spiffe.broker.KubernetesObjectReference': 'spiffe/broker/broker.proto',
  'spiffe.broker.WorkloadPIDReference': 'spiffe/broker/broker.proto',
  'spire.api.types.PermissionDeniedDetails': 'spire/api/types/status.proto',
} as const satisfies Record<keyof MessageTypes, string>;

/** `serialize` and `deserialize` of one message; the latter throws on malformed bytes. */
export function loadMessage<Name extends keyof MessageTypes>(name: Name): MessageTypes[Name] {
  return loadProto(MESSAGES[name])[name] as MessageTypes[Name];
}
