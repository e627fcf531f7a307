/** Pages of lists, as requests ask for them. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { PageRequest } from '../../store/store.js';

/** More than this many are not sent at once, whatever was asked for. */
const LARGEST_PAGE = 5_000;

/** A size of 0 asks for all there is, as in SPIRE. @throws BonafideError `invalid_argument`. */
export function pageFromProto(request: {
  readonly pageSize: number;
  readonly pageToken: string;
}): PageRequest {
  if (request.pageSize < 0) throw invalidArgument('page size is negative');
  return {
    size: Math.min(request.pageSize, LARGEST_PAGE),
    token: request.pageSize === 0 ? undefined : request.pageToken || undefined,
  };
}
