/** The folder of the Workload API's socket, which every user may enter. */
import { dirname, isAbsolute } from 'node:path';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { createDirectory } from '@bonafide/shared/runtime/create-directory';

/** Workloads of every user pass through it, and through each parent that is made for it. */
const OPEN_TO_ALL = 0o755;

/**
 * Makes what is missing of it; folders that exist stay as they are.
 * @throws BonafideError `invalid_argument` for a path that is not absolute, `unavailable` when the system refuses.
 */
export async function prepareSocketFolder(socketPath: string): Promise<void> {
  if (!isAbsolute(socketPath)) {
    throw invalidArgument(
      `socket path ${JSON.stringify(socketPath)} is not absolute; expected one such as /run/agent.sock`,
    );
  }
  try {
    await createDirectory(dirname(socketPath), OPEN_TO_ALL, OPEN_TO_ALL);
  } catch (error) {
    throw new BonafideError('unavailable', `cannot listen on ${socketPath}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
