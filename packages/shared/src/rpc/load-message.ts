/** Messages that travel as bytes inside others: their encoding outside any call. */
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import type { RefusalDetails, RefusalDetails__Output } from './gen/bonafide/attestation/v1/RefusalDetails.js';
import type { Status, Status__Output } from './gen/google/rpc/Status.js';
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
  readonly 'google.rpc.Status': MessageTypeDefinition<Status, Status__Output>;
  readonly 'spire.api.types.PermissionDeniedDetails': MessageTypeDefinition<
    PermissionDeniedDetails,
    PermissionDeniedDetails__Output
  >;
}

const MESSAGES = {
  'bonafide.attestation.v1.RefusalDetails': 'bonafide/attestation/v1/proof.proto',
  'google.rpc.Status': 'google/rpc/status.proto',
  'spire.api.types.PermissionDeniedDetails': 'spire/api/types/status.proto',
} as const satisfies Record<keyof MessageTypes, string>;

/** `serialize` and `deserialize` of one message; the latter throws on malformed bytes. */
export function loadMessage<Name extends keyof MessageTypes>(name: Name): MessageTypes[Name] {
  return loadProto(MESSAGES[name])[name] as MessageTypes[Name];
}
