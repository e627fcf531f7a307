/** The one error class: a reason that callers may branch on, a message that is safe to show, a cause for the log. */

/** Why something was refused or failed. `rpc/status.ts` maps each reason to exactly one gRPC status. */
export type Reason =
  | 'invalid_argument'
  | 'not_found'
  | 'already_exists'
  | 'failed_precondition'
  | 'resource_exhausted'
  | 'unauthenticated'
  | 'permission_denied'
  | 'agent_banned'
  | 'agent_expired'
  | 'agent_not_active'
  | 'agent_not_attested'
  | 'agent_must_reattest'
  | 'agent_quarantined'
  | 'agent_pending'
  | 'aborted'
  | 'cancelled'
  | 'deadline_exceeded'
  | 'unavailable'
  | 'unimplemented'
  | 'internal';

interface BonafideErrorOptions {
  readonly cause?: unknown;
  /** How long a refused caller should wait before it tries again; only for `resource_exhausted` and `unavailable`. */
  readonly retryAfterMs?: number;
  /** What programs may tell apart beyond the reason, where a standard has words for it. */
  readonly errorInfo?: ErrorInfo;
}

/** As google.rpc.ErrorInfo. */
export interface ErrorInfo {
  /** For example `WORKLOAD_NOT_FOUND`. */
  readonly reason: string;
  /** Whose word it is, for example `spiffe.io`. */
  readonly domain: string;
}

/**
 * @param message lower case, no full stop; names what failed and what would be accepted; goes to the caller as it is.
 */
export class BonafideError extends Error {
  override readonly name = 'BonafideError';
  readonly reason: Reason;
  readonly retryAfterMs: number | undefined;
  readonly errorInfo: ErrorInfo | undefined;

  constructor(reason: Reason, message: string, options: BonafideErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs;
    this.errorInfo = options.errorInfo;
  }
}

export function invalidArgument(message: string, cause?: unknown): BonafideError {
  return new BonafideError('invalid_argument', message, { cause });
}

export function hasReason(error: unknown, ...reasons: readonly Reason[]): error is BonafideError {
  return error instanceof BonafideError && reasons.includes(error.reason);
}

/** The text of anything that was thrown, for logs and for wrapping into a larger message. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
