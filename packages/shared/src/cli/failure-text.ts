/** One line for whatever went wrong, fit for an operator: never a stack trace. */
import { errorMessage } from '../errors/bonafide-error.js';

/** gRPC errors carry their text for people in `details`; their message repeats the status code in front of it. */
export function failureText(error: unknown): string {
  if (
    error instanceof Error &&
    'details' in error &&
    typeof error.details === 'string' &&
    error.details !== ''
  ) {
    return error.details;
  }
  return errorMessage(error);
}
