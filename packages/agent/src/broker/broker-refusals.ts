/** Refusals that concern the referenced workload, told apart for programs (SPIFFE Broker API section 4.8). */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

const DOMAIN = 'spiffe.io';

const WORDS: Partial<Record<BonafideError['reason'], string>> = {
  invalid_argument: 'WORKLOAD_REFERENCE_INVALID',
  not_found: 'WORKLOAD_NOT_FOUND',
  permission_denied: 'WORKLOAD_NOT_ENTITLED',
};

export function notEntitled(): BonafideError {
  return new BonafideError(
    'permission_denied',
    'no identity issued: no entry matches the referenced workload',
  );
}

/** Of what was thrown on account of the reference or its workload, the same with the standard's word. */
export function workloadRefusal(error: unknown): unknown {
  if (!(error instanceof BonafideError)) return error;
  const reason = WORDS[error.reason];
  if (reason === undefined) return error;
  return new BonafideError(error.reason, error.message, {
    cause: error,
    errorInfo: { reason, domain: DOMAIN },
  });
}
