import { writeFileSync } from 'node:fs';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { findTpmDevice } from './find-device.js';

describe('the TPM of a node whose configuration names none', () => {
  it.each([
    [['tpm0', 'tpmrm0', 'tty0', 'vtpmx', 'tpm-bus'], 'tpmrm0'],
    [['tpm0', 'tty0'], 'tpm0'],
    [['tpm0', 'tpm1', 'tpmrm1'], 'tpmrm1'],
  ])('is, of %j, %s', async (present, expected) => {
    using directory = createTemporaryDirectory();
    for (const name of present) writeFileSync(directory.join(name), '');
    expect(await findTpmDevice(directory.path)).toBe(directory.join(expected));
  });

  it.each([
    [[], 'there is no TPM in'],
    [['xtpm0', 'tpm', 'tpm0x'], 'there is no TPM in'],
    [['tpmrm0', 'tpmrm1', 'tpm0'], 'tpmrm0, tpmrm1: name one by tpm_device_path'],
  ])('is not found in %j', async (present, expected) => {
    using directory = createTemporaryDirectory();
    for (const name of present) writeFileSync(directory.join(name), '');
    await expect(findTpmDevice(directory.path)).rejects.toThrow(expected);
  });
});
