/** google.rpc.ErrorInfo: why a call failed in the words of some standard, for example SPIFFE Broker API section 4.8. */
import type { Metadata, status } from '@grpc/grpc-js';
import type { ErrorInfo } from '../errors/bonafide-error.js';
import { loadMessage } from './load-message.js';
import { setStatusDetail, statusDetailsIn, TYPE_PREFIX } from './status-details.js';

const DETAIL = 'google.rpc.ErrorInfo';

export function addErrorInfo(
  metadata: Metadata,
  failure: { readonly code: status; readonly details: string; readonly errorInfo: ErrorInfo },
): void {
  const value = loadMessage(DETAIL).serialize(failure.errorInfo);
  setStatusDetail(metadata, failure, { type_url: TYPE_PREFIX + DETAIL, value });
}

/** Undefined when there is none, or it is malformed: the status code alone still tells what happened. */
export function errorInfoIn(metadata: Metadata): ErrorInfo | undefined {
  try {
    const found = statusDetailsIn(metadata).find(({ type_url: typeUrl }) => typeUrl === TYPE_PREFIX + DETAIL);
    if (found === undefined) return undefined;
    const { domain, reason } = loadMessage(DETAIL).deserialize(found.value);
    return { domain, reason };
  } catch {
    return undefined;
  }
}
