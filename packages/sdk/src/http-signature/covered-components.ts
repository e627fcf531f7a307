/** What a signature must cover (draft-ietf-wimse-http-signature-06 section 3). */
import { WIT_HEADER, TRANSACTION_TOKEN_HEADER } from '../wit/headers.js';
import { DIGEST_HEADER } from './content-digest.js';
import type { FieldLines, SignedMessage } from './http-message.js';
import type { SfItem } from './structured-field.js';

export const SIGNATURE_TAG = 'wimse-workload-to-workload';
export const SIGNATURE_LABEL = 'wimse';

const REQUEST_FIELDS = ['content-type', DIGEST_HEADER, 'authorization', TRANSACTION_TOKEN_HEADER, WIT_HEADER];
const RESPONSE_FIELDS = ['content-type', DIGEST_HEADER, WIT_HEADER];

/** Those that are mandatory and those that are there, in the order in which we sign them. */
export function requiredComponents(message: SignedMessage): readonly SfItem[] {
  const present = (names: readonly string[], fields: FieldLines): readonly SfItem[] =>
    names.filter((name) => name === WIT_HEADER || fields(name) !== undefined).map((name) => component(name));
  if (!('status' in message)) {
    return [component('@method'), component('@request-target'), ...present(REQUEST_FIELDS, message.fields)];
  }
  return [
    component('@status'),
    component('@method', true),
    component('@request-target', true),
    ...present(RESPONSE_FIELDS, message.fields),
  ];
}

function component(value: string, isOfRequest = false): SfItem {
  return { value, parameters: new Map(isOfRequest ? [['req', true]] : []) };
}
