/** Opens the TPM for as long as one proof takes, with patience for others who use it too. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';

export interface DeviceAccess {
  /** `/dev/tpmrm0`, `unix:/path` or `tcp:host:port`. */
  readonly path: string;
  /** Of the hierarchies; undefined: empty. */
  readonly endorsementPassword: string | undefined;
  readonly ownerPassword: string | undefined;
}

const PAUSES = { initialMs: 100, maximumMs: 2_000 };
const PATIENCE_MS = 15_000;

/** @throws BonafideError saying what to do; `unavailable` when it is still held by somebody after a while. */
export async function openDevice(
  { path, endorsementPassword, ownerPassword }: DeviceAccess,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<TpmDevice> {
  const startedMs = clock.monotonicMs();
  const backoff = new Backoff(PAUSES);
  for (;;) {
    try {
      return await TpmDevice.open({ path, clock, endorsementPassword, ownerPassword });
    } catch (error) {
      const delayMs = backoff.nextDelayMs();
      const isLate = clock.monotonicMs() + delayMs - startedMs > PATIENCE_MS;
      if (!hasReason(error, 'unavailable') || isLate) throw error;
      log.debug({ path, retryInMs: Math.round(delayMs) }, `the TPM cannot be opened yet: ${error.message}`);
      await sleep(clock, delayMs);
    }
  }
}

/**
 * Runs what concerns the TPM alone.
 * @throws BonafideError as `work` does, but never one that says that the server cannot be reached.
 */
export async function onThisNode<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (!hasReason(error, 'unavailable', 'deadline_exceeded')) throw error;
    throw new BonafideError('aborted', error.message, { cause: error });
  }
}
