/** The one place that knows gRPC status codes: which reason is which code, and how a failure travels to the caller. */
import { Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { BonafideError, errorMessage, type Reason } from '../errors/bonafide-error.js';
import type { CallContext } from './call-context.js';
import { addErrorInfo, errorInfoIn } from './error-info.js';
import type { Status, Status__Output } from './gen/spire/api/types/Status.js';
import { addAgentRefusal, agentRefusalIn, isAgentRefusal } from './agent-refusal.js';

const CODES = {
  invalid_argument: status.INVALID_ARGUMENT,
  not_found: status.NOT_FOUND,
  already_exists: status.ALREADY_EXISTS,
  failed_precondition: status.FAILED_PRECONDITION,
  resource_exhausted: status.RESOURCE_EXHAUSTED,
  unauthenticated: status.UNAUTHENTICATED,
  permission_denied: status.PERMISSION_DENIED,
  agent_banned: status.PERMISSION_DENIED,
  agent_expired: status.PERMISSION_DENIED,
  agent_not_active: status.PERMISSION_DENIED,
  agent_not_attested: status.PERMISSION_DENIED,
  agent_must_reattest: status.PERMISSION_DENIED,
  agent_quarantined: status.PERMISSION_DENIED,
  agent_pending: status.PERMISSION_DENIED,
  aborted: status.ABORTED,
  cancelled: status.CANCELLED,
  deadline_exceeded: status.DEADLINE_EXCEEDED,
  unavailable: status.UNAVAILABLE,
  unimplemented: status.UNIMPLEMENTED,
  internal: status.INTERNAL,
} as const satisfies Record<Reason, status>;

const REASONS: Readonly<Record<status, Reason | undefined>> = {
  [status.OK]: undefined,
  [status.CANCELLED]: 'cancelled',
  [status.UNKNOWN]: 'internal',
  [status.INVALID_ARGUMENT]: 'invalid_argument',
  [status.DEADLINE_EXCEEDED]: 'deadline_exceeded',
  [status.NOT_FOUND]: 'not_found',
  [status.ALREADY_EXISTS]: 'already_exists',
  [status.PERMISSION_DENIED]: 'permission_denied',
  [status.RESOURCE_EXHAUSTED]: 'resource_exhausted',
  [status.FAILED_PRECONDITION]: 'failed_precondition',
  [status.ABORTED]: 'aborted',
  [status.OUT_OF_RANGE]: 'invalid_argument',
  [status.UNIMPLEMENTED]: 'unimplemented',
  [status.INTERNAL]: 'internal',
  [status.UNAVAILABLE]: 'unavailable',
  [status.DATA_LOSS]: 'internal',
  [status.UNAUTHENTICATED]: 'unauthenticated',
};

const RETRY_AFTER = 'retry-after-ms';
/** Trailers have to fit into the header limit of every client. */
const MAX_DETAILS_CHARACTERS = 2000;

/** Hints on when to come back that are longer than this are not believed. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** What gRPC is to end the call with. Anything but a BonafideError becomes fixed text, so that nothing leaks by accident. */
export function toServiceError(error: unknown, requestId?: string): StatusObject {
  const metadata = new Metadata();
  if (!(error instanceof BonafideError)) {
    return { code: status.INTERNAL, details: unexpectedText(requestId), metadata };
  }
  const { errorInfo, reason, retryAfterMs } = error;
  const code = CODES[reason];
  const details = sendableText(error.message);
  if (isAgentRefusal(reason)) addAgentRefusal(metadata, { code, details, reason });
  else if (errorInfo !== undefined) addErrorInfo(metadata, { code, details, errorInfo });
  if (retryAfterMs !== undefined && (reason === 'resource_exhausted' || reason === 'unavailable')) {
    metadata.set(RETRY_AFTER, String(Math.max(0, Math.ceil(retryAfterMs))));
  }
  return { code, details, metadata };
}

/** The other way, in a client. A BonafideError stays as it is; what gRPC did not make becomes `internal`. */
export function fromServiceError(error: unknown): BonafideError {
  if (error instanceof BonafideError) return error;
  if (!isStatus(error)) return new BonafideError('internal', errorMessage(error), { cause: error });
  const reason = REASONS[error.code] ?? 'internal';
  const errorInfo = error.metadata && errorInfoIn(error.metadata);
  const options = { cause: error, ...retryAfterIn(error.metadata), ...(errorInfo && { errorInfo }) };
  if (reason === 'permission_denied' && error.metadata !== undefined) {
    return new BonafideError(agentRefusalIn(error.metadata) ?? reason, error.details, options);
  }
  return new BonafideError(reason, error.details, options);
}

/** How one item of a batch failed; the unexpected is logged here, because only the item's own answer will tell of it. */
export function statusProtoFromError(
  error: unknown,
  context: Pick<CallContext, 'log' | 'requestId'>,
): { readonly code: number; readonly message: string } {
  logFailure(error, context);
  const { code, details } = toServiceError(error, context.requestId);
  return { code, message: details };
}

/** The status of an item that went well. */
export const OK_STATUS_PROTO = { code: status.OK, message: 'OK' } as const satisfies Status;

/** Undefined when the item went well. */
export function errorFromStatusProto(item: Status__Output | null): BonafideError | undefined {
  if (item === null) return new BonafideError('internal', 'the answer has no status for an item');
  const code: unknown = item.code;
  if (!isCode(code)) return new BonafideError('internal', item.message);
  return code === status.OK ? undefined : new BonafideError(REASONS[code] ?? 'internal', item.message);
}

/** Faults of ours are for the operator to see; a caller's own are not, lest callers fill the log. */
export function logFailure(error: unknown, { log }: Pick<CallContext, 'log'>): void {
  if (error instanceof BonafideError && error.reason !== 'internal') {
    log.debug({ err: error, reason: error.reason }, 'a call was refused');
  } else {
    log.error({ err: error }, 'a call failed unexpectedly');
  }
}

function unexpectedText(requestId: string | undefined): string {
  return requestId === undefined ? 'internal error' : `internal error (request id ${requestId})`;
}

/** gRPC cannot encode half a surrogate pair and throws where nobody catches. */
function sendableText(text: string): string {
  return text.slice(0, MAX_DETAILS_CHARACTERS).replace(/\p{Surrogate}/gu, '\uFFFD');
}

function retryAfterIn(metadata: Metadata | undefined): { retryAfterMs?: number } {
  const [value] = metadata?.get(RETRY_AFTER) ?? [];
  if (typeof value !== 'string' || !/^\d{1,9}$/.test(value)) return {};
  return { retryAfterMs: Math.min(Number(value), MAX_RETRY_AFTER_MS) };
}

interface ReceivedStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata?: Metadata;
}

function isStatus(error: unknown): error is ReceivedStatus {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    isCode(error.code) &&
    'details' in error &&
    typeof error.details === 'string' &&
    (!('metadata' in error) || error.metadata === undefined || error.metadata instanceof Metadata)
  );
}

function isCode(value: unknown): value is status {
  return typeof value === 'number' && value in REASONS;
}
