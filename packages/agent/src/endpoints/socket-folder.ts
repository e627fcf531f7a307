/** The folder of the Workload API's socket, which every user may enter. */
import { chmodSync, mkdirSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';

/**
 * Makes what is missing of it; folders that exist stay as they are.
 * @throws BonafideError `invalid_argument` for a path that is not absolute, `unavailable` when the system refuses.
 */
export function prepareSocketFolder(socketPath: string): void {
  if (!isAbsolute(socketPath)) {
    throw invalidArgument(
      `socket path ${JSON.stringify(socketPath)} is not absolute; expected one such as /run/agent.sock`,
    );
  }
  const folder = dirname(socketPath);
  try {
    if (mkdirSync(folder, { recursive: true }) !== undefined) chmodSync(folder, 0o755);
  } catch (error) {
    throw new BonafideError('unavailable', `cannot listen on ${socketPath}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
