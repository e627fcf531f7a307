/** The server's half of `tpm` for software TPMs: all of them are known, and must be as the recorded machine. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { measuredFile } from './machines.js';
import type { SoftwareTpm } from './software-tpm.js';

/**
 * Without a schedule, for the benchmark asks.
 * @param files how many measured files may run; 0: nobody looks at them.
 */
export function tpmConfig(directory: string, tpms: readonly SoftwareTpm[], files = 0): ConfigFile {
  const hashes = join(directory, 'ek-hashes');
  writeFileSync(hashes, tpms.map(({ ekHash }) => `${ekHash}\n`).join(''));
  const list = join(directory, 'files');
  const digests = Array.from({ length: files }, (_, index) => `${measuredFile(index)}\n`);
  if (files > 0) writeFileSync(list, digests.join(''));
  return {
    ek_hashes_path: hashes,
    proof: { interval: '0' },
    policy: { secure_boot: 'required', ...(files === 0 ? {} : { ima_allow_list_path: list }) },
  };
}
