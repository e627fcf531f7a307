/** Envoy's discovery requests as they come in: checked, bounded, and reduced to what is served here. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Node__Output } from '@bonafide/shared/rpc/gen/envoy/config/core/v3/Node';
import type { DeltaDiscoveryRequest__Output } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DeltaDiscoveryRequest';
import type { DiscoveryRequest__Output } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DiscoveryRequest';
import { listFromProto, textFromProto } from '@bonafide/shared/rpc/codec/field';
import { SECRET_TYPE_URL } from './secret.js';

/** Of one request, and of one stream. */
export const MOST_NAMES = 1000;
/** The longest SPIFFE ID (SPIFFE ID section 2.3). */
const MOST_NAME_BYTES = 2048;
const MOST_VERSION_BYTES = 256;
const MOST_REJECTION_CHARACTERS = 1000;

export interface SecretsRequest {
  /** None: all there are. */
  readonly names: ReadonlySet<string>;
  readonly nonce: string;
  /** Undefined: as before. */
  readonly node: Node__Output | undefined;
  /** Why the answer before was not taken. */
  readonly rejection: string | undefined;
}

export interface DeltaRequest extends Omit<SecretsRequest, 'names'> {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** What the client has from an earlier stream. */
  readonly initialVersions: ReadonlyMap<string, string>;
}

/** @throws BonafideError `invalid_argument`. */
export function secretsRequestFromProto(request: DiscoveryRequest__Output): SecretsRequest {
  checkType(request.typeUrl);
  checkLocators('resource_locators', request.resourceLocators);
  return {
    // An empty name is none, as SPIRE has it.
    names: new Set(namesFromProto('resource_names', request.resourceNames).filter((name) => name !== '')),
    ...rest(request),
  };
}

/** @throws BonafideError `invalid_argument`. */
export function deltaRequestFromProto(request: DeltaDiscoveryRequest__Output): DeltaRequest {
  checkType(request.typeUrl);
  checkLocators('resource_locators_subscribe', request.resourceLocatorsSubscribe);
  checkLocators('resource_locators_unsubscribe', request.resourceLocatorsUnsubscribe);
  const versions = listFromProto(
    'initial_resource_versions',
    Object.entries(request.initialResourceVersions),
    MOST_NAMES,
    ([name, version]) =>
      [
        textFromProto('key', name, MOST_NAME_BYTES),
        textFromProto('value', version, MOST_VERSION_BYTES),
      ] as const,
  );
  return {
    subscribe: namesFromProto('resource_names_subscribe', request.resourceNamesSubscribe),
    unsubscribe: namesFromProto('resource_names_unsubscribe', request.resourceNamesUnsubscribe),
    initialVersions: new Map(versions),
    ...rest(request),
  };
}

function rest({
  errorDetail,
  node,
  responseNonce,
}: Pick<DiscoveryRequest__Output, 'errorDetail' | 'node' | 'responseNonce'>): Omit<SecretsRequest, 'names'> {
  return {
    nonce: responseNonce,
    node: node ?? undefined,
    rejection: errorDetail?.message.slice(0, MOST_REJECTION_CHARACTERS),
  };
}

function namesFromProto(field: string, names: readonly string[]): readonly string[] {
  return listFromProto(field, names, MOST_NAMES, (name) => textFromProto('name', name, MOST_NAME_BYTES));
}

/** SPIRE does not look at it; absent, it can only be this one. */
function checkType(typeUrl: string): void {
  if (typeUrl === '' || typeUrl === SECRET_TYPE_URL) return;
  throw invalidArgument(
    `type_url: ${JSON.stringify(typeUrl.slice(0, MOST_NAME_BYTES))} is not served here; expected ${SECRET_TYPE_URL}`,
  );
}

/** Taken as no name, they would ask for everything. */
function checkLocators(field: string, locators: readonly unknown[]): void {
  if (locators.length > 0) throw invalidArgument(`${field}: is not served here; expected resource names`);
}
