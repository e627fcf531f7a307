/** The way to a TPM: one command out, its whole response back. */
import { BonafideError } from '../../errors/bonafide-error.js';

export interface TpmTransport {
  /** True when a resource manager keeps what others have loaded apart from ours; otherwise the TPM is ours alone. */
  readonly isShared: boolean;
  /**
   * One at a time. When the signal fires while the TPM works, it is given up: it cannot be used after that.
   * @throws BonafideError `unavailable`, or `deadline_exceeded` when the signal fired.
   */
  transmit(command: Buffer, signal?: AbortSignal): Promise<Buffer>;
  close(): Promise<void>;
}

/** What became of a command whose signal fired. */
export function givenUp(): BonafideError {
  return new BonafideError(
    'deadline_exceeded',
    'the TPM did not answer in time and was given up: it is stuck, or a software TPM is serving another program',
  );
}
