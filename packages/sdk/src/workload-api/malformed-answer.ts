/** What is said of an answer that breaks the Workload API's rules; such an answer is refused whole (SPIFFE Workload API section 4.5). */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';

/** @param problem a predicate, such as "is empty", or what was thrown while the field was read. */
export function malformedAnswer(field: string, problem: unknown): BonafideError {
  const text = typeof problem === 'string' ? problem : `is malformed: ${errorMessage(problem)}`;
  return new BonafideError('internal', `the Workload API's answer cannot be used: ${field} ${text}`, {
    cause: problem,
  });
}
