/** The standard trailer that holds a google.rpc.Status: what a status tells programs beyond its code. */
import type { Metadata, status } from '@grpc/grpc-js';
import { loadMessage } from './load-message.js';

export interface StatusDetail {
  readonly type_url: string;
  readonly value: Buffer;
}

export const TYPE_PREFIX = 'type.googleapis.com/';

const TRAILER = 'grpc-status-details-bin';

export function setStatusDetail(
  metadata: Metadata,
  { code, details }: { readonly code: status; readonly details: string },
  detail: StatusDetail,
): void {
  const whole = loadMessage('google.rpc.Status').serialize({ code, message: details, details: [detail] });
  metadata.set(TRAILER, whole);
}

/** None when the trailer is missing. @throws when it is malformed. */
export function statusDetailsIn(metadata: Metadata): readonly StatusDetail[] {
  const [bytes] = metadata.get(TRAILER);
  if (!Buffer.isBuffer(bytes)) return [];
  return loadMessage('google.rpc.Status').deserialize(bytes).details;
}
