/** `--ek-hash`, by which commands name the one TPM that they are about. */
import { valueOption } from '@bonafide/shared/cli/option-values';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Option } from 'commander';
import { parseEkHash } from '../../node-attestation/tpm/parse-hex-digest.js';

export interface EkHashFlag {
  readonly ekHash?: string;
}

export function ekHashOption(flag = '--ek-hash <hash>', whose = 'the TPM'): Option {
  return valueOption(
    flag,
    `EK hash of ${whose}, as bonafide-agent tpm info prints it on its machine`,
    parseEkHash,
  );
}

/** @throws BonafideError `invalid_argument` when it was not given. */
export function requiredEkHash(hash: string | undefined, flag = '--ek-hash'): string {
  if (hash !== undefined) return hash;
  throw invalidArgument(
    `an EK hash is required; add ${flag} with what bonafide-agent tpm info prints on the machine`,
  );
}
