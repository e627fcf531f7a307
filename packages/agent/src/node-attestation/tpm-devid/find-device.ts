/** The TPM of a node whose configuration names none, found as SPIRE's agents find it. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** Through the kernel's resource manager, else directly. */
const NAMES: readonly RegExp[] = [/^tpmrm\d+$/, /^tpm\d+$/];
const NAME_IT = 'name one by tpm_device_path';

/**
 * @param directory where the kernel has its devices.
 * @throws BonafideError `failed_precondition` when there is none, or more than one.
 */
export async function findTpmDevice(directory: string): Promise<string> {
  const present = await readdir(directory);
  for (const name of NAMES) {
    const [device, ...others] = present.filter((entry) => name.test(entry)).sort();
    if (others.length > 0) {
      throw new BonafideError(
        'failed_precondition',
        `there is more than one TPM in ${directory}, ${[device, ...others].join(', ')}: ${NAME_IT}`,
      );
    }
    if (device !== undefined) return join(directory, device);
  }
  throw new BonafideError(
    'failed_precondition',
    `there is no TPM in ${directory}: enable it in the firmware's settings, load its driver, or ${NAME_IT}`,
  );
}
